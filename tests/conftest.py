from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tools.harness import register
from tools.places import ROOT, SHARED

# The same examples every time, however busy the machine is.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")

# A shell that runs the suite in the background leaves SIGINT ignored, and so would every process
# that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The reference material beside the checkout, where it is there."""
    folder = SHARED
    if not folder.is_dir():
        pytest.skip("the reference material is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def example_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package of CONTRIBUTING.md, really built and installed."""
    source = tmp_path_factory.mktemp("example_source")
    for file in (ROOT / "tests" / "example_package").iterdir():
        if file.is_file():
            (source / file.name).write_bytes(file.read_bytes())
    target = tmp_path_factory.mktemp("example_site")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--no-build-isolation", "--target", str(target), str(source)),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return target


@pytest.fixture(scope="session")
def _example_path(example_site: Path) -> Iterator[None]:
    sys.path.insert(0, str(example_site))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(example_site), before]))
    yield
    sys.path.remove(str(example_site))
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture
def examples(_example_path: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Registers the example plugins and gives a working folder with its own cache."""
    monkeypatch.setenv("PHYBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def deadly_judge(examples: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Registers ``deadly``, which kills its own process on prompt 3 as the OOM killer would."""
    source = (
        "import os, signal\n"
        "from phybench_example import Brightness\n"
        "class Deadly(Brightness):\n"
        "    def _score(self, request):\n"
        "        if 'number 3' in request.prompt:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super()._score(request)\n"
    )
    entry_point = "[phybench.judges]\ndeadly = deadly:Deadly\n"
    register(examples, monkeypatch, "deadly", source, entry_point)
    return examples


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with its own cache."""
    monkeypatch.setenv("PHYBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB, where this user may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.call(mount):
        pytest.skip("mounting a tmpfs needs rights that this user does not have")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
