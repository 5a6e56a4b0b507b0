"""Which device ``auto`` is, on machines that differ in device files and environment."""

from __future__ import annotations

import pytest

from phybench.errors import ConfigError
from phybench.machine import devices
from phybench.machine.devices import accelerator, device_kind, resolve_device, resolve_dtype


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without a driver; calling it puts one of the driver's files there."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "_DRIVERS", (tmp_path / "nvidiactl", tmp_path / "dxg"))
    monkeypatch.setattr(devices, "_GPUS", tmp_path / "gpus")

    def put(name, text=""):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")

    return put


H200 = ("gpus/0000:18:00.0/information", "Model: \t\t NVIDIA H200\nIRQ: 3\n")


def test_without_a_driver_auto_is_the_cpu(machine):
    assert resolve_device("auto") == "cpu"


@pytest.mark.parametrize("files", [("nvidiactl",), ("dxg",), H200])
def test_each_sign_of_a_driver_is_enough(machine, files):
    machine(*files)
    assert resolve_device("auto") == "cuda"


@pytest.mark.parametrize("files", [("nvidiactl",), ("dxg",), H200])
@pytest.mark.parametrize(
    ("visible", "device"),
    [("", "cpu"), (" ", "cpu"), ("-1", "cpu"), ("-1,0", "cpu"), ("0", "cuda"), ("2,-1", "cuda")],
)
def test_hidden_gpus_are_not_taken(machine, monkeypatch, files, visible, device):
    machine(*files)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert resolve_device("auto") == device


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1", "mps"])
def test_a_named_device_is_taken_at_its_word(machine, device):
    assert resolve_device(device) == device


@pytest.mark.parametrize("device", ["tpu", "cuda:", "cuda:x", "", "cpu:0"])
def test_other_names_are_refused(machine, device):
    with pytest.raises(ConfigError, match="`device` to be auto, cpu, cuda"):
        resolve_device(device)


def test_the_kind_of_hardware_is_the_gpus_model_where_it_is_known(machine):
    assert accelerator("cuda:1") == "cuda"
    machine(*H200)
    assert accelerator("cuda:1") == "NVIDIA H200"
    assert accelerator("cpu") == "cpu"


def test_precision_depends_on_the_kind_of_device():
    assert resolve_dtype("auto", "cuda:1") == "bfloat16"
    assert resolve_dtype("auto", "cpu") == resolve_dtype("auto", "mps") == "float32"
    assert resolve_dtype("float16", "cpu") == "float16"
    assert device_kind("cuda:1") == "cuda"
