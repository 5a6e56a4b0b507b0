"""The main job on each real generator: from SPECs to scores, through the whole harness."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")

import tools.services.fake_service as fake
import torch
from tools.harness import do_run, phybench, rows, run_config
from tools.models import tiny_pipelines
from tools.models.lavie_checkpoint import checkpoint as lavie_checkpoint
from tools.models.videocrafter2_checkpoint import checkpoint as videocrafter2_checkpoint

from phybench.errors import ConfigError
from phybench.planning.plan import build_plan
from phybench.plugins.contracts import ClipRequest
from phybench.plugins.registry import create
from phybench.testing import check_generator

__all__ = ["lavie_checkpoint", "videocrafter2_checkpoint"]
PROMPTS = ["a red ball falls", "water pours into a glass"]
SMALL = "width=16,height=16,steps=2,device=cpu"


@pytest.fixture
def prompts(workplace: Path) -> Path:
    path = workplace / "prompts.txt"
    path.write_text("\n".join(PROMPTS) + "\n")
    return path


@pytest.fixture(scope="module")
def cogvideox(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("cogvideox")
    options = tiny_pipelines.save("cogvideox", folder)
    return f"cogvideox:model={options['model']},frames=9,{SMALL}"


@pytest.fixture(scope="module")
def ports(videocrafter2_checkpoint: Path, lavie_checkpoint: Path) -> list[str]:
    size = "frames=3,width=32,height=32,steps=2,device=cpu"
    tokenizer = videocrafter2_checkpoint / "tokenizer"
    return [
        f"videocrafter2:model={videocrafter2_checkpoint},tokenizer={tokenizer},{size}",
        f"lavie:model={lavie_checkpoint},{size}",
    ]


def judged(folder: Path, expected: int) -> list[dict[str, Any]]:
    items = sorted(rows(folder / "items.jsonl"), key=lambda item: item["index"])
    assert len(items) == expected
    for item in items:
        assert Path(item["clip"]["path"]).is_file()
    return items


@pytest.mark.slow
def test_open_models_run_and_resume(prompts: Path, cogvideox: str, ports: list[str]) -> None:
    torch.set_num_threads(1)
    config = run_config(
        prompts,
        refiners=("identity",),
        generators=(cogvideox, *ports),
        judges=("kinematic",),
        seeds=1,
    )
    do_run(config, Path("run"), Path("cache"))
    first = judged(Path("run"), 6)
    do_run(config, Path("again"), Path("cache"))
    assert [item["clip"]["sha256"] for item in judged(Path("again"), 6)] == [
        item["clip"]["sha256"] for item in first
    ]
    frames = {item["generator"]: item["clip"]["frames"] for item in first}
    assert frames == {"cogvideox": 9, "videocrafter2": 3, "lavie": 3}


@pytest.mark.slow
def test_command_line_runs_cogvideox(prompts: Path, cogvideox: str) -> None:
    done = phybench(
        *("run", "--refiner", "identity", "--generator", cogvideox, "--judge", "kinematic"),
        *("--prompts", str(prompts), "--seeds", "1", "-o", "out", "--no-plots", "--quiet"),
        *("--executor", "serial"),
    )
    assert done.returncode in {0, 1}, done.stderr
    judged(Path("out"), 2)


def test_hosted_service_runs_and_is_not_paid_again(
    prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("runwayml")
    monkeypatch.setenv("RUNWAYML_API_SECRET", "secret-key")
    service, server = fake.start(tmp_path)
    service.script("POST /v1/text_to_video", fake.runway_create())
    service.script("GET /v1/tasks", fake.runway_task("RUNNING"), fake.runway_done())
    config = run_config(
        prompts,
        refiners=("identity",),
        generators=(f"runway:base_url={service.url},poll_s=0",),
        judges=("kinematic",),
        seeds=1,
    )
    try:
        do_run(config, Path("run"), Path("cache"))
        # Even with the harness's own memory lost, the ledger knows what is paid.
        do_run(config, Path("again"), Path("other-cache"))
    finally:
        server.shutdown()
        server.server_close()
    judged(Path("run"), 2)
    judged(Path("again"), 2)
    assert service.jobs == 2
    assert "secret-key" not in "".join(path.read_text() for path in Path("run").glob("*.json*"))


def test_machine_without_weights_stops_at_once_with_the_list(workplace: Path) -> None:
    """The main job of a GPU machine: what is missing, how large, where, and what runs here."""
    begin = time.perf_counter()
    done = phybench(
        *("run", "--refiner", "phyprompt", "--generator", "cogvideox", "--limit", "1"),
        env={"HF_HUB_CACHE": str(workplace / "hub"), "PHYBENCH_CHECKPOINTS": str(workplace)},
    )
    assert time.perf_counter() - begin < 10, "2 s on an idle machine; CI may be busy"
    assert done.returncode == 2
    for said in (
        "`phyprompt-7b` (about 15.2 GB",
        f"Looked in: {workplace / 'phyprompt-7b'}",
        "phybench train sft phyprompt-7b && phybench train grpo phyprompt-7b",
        "phybench run -r template",
        "are missing (about 13.8 GB)",
        "transformer/  3.39 GB",
        f"Looked in: {workplace / 'THUDM' / 'CogVideoX-2b'}",
        str(workplace / "hub" / "models--THUDM--CogVideoX-2b"),
        "hf download THUDM/CogVideoX-2b",
        "phybench run -g tabletop",
    ):
        assert said in done.stderr


def test_plans_that_would_fail_are_refused_before_work(prompts: Path, cogvideox: str) -> None:
    def problem(generator: str, text: str = "a ball") -> str:
        prompts.write_text(f"{text}\n")
        config = run_config(
            prompts, refiners=("identity",), generators=(generator,), judges=("kinematic",)
        )
        with pytest.raises(ConfigError) as caught:
            build_plan(config)
        return str(caught.value)

    long = problem(cogvideox, "the ball " * 150)
    assert "1 of 1 texts are longer than the 226 tokens that `cogvideox` reads" in long


@pytest.mark.slow
def test_generators_keep_the_contract(cogvideox: str, ports: list[str]) -> None:
    requests = [ClipRequest(text, seed) for seed, text in enumerate(PROMPTS)]
    for spec in (cogvideox, *ports):
        check_generator(lambda spec=spec: create("generator", spec), requests)


def test_card_tells_the_trainer_what_the_licence_forbids(tmp_path: Path) -> None:
    from phybench.generators.diffusers.model_card import load_card

    assert load_card("hunyuanvideo").training_on_outputs == "forbidden"
    assert load_card("cogvideox").training_on_outputs == "allowed"
    assert json.loads(json.dumps(load_card("cogvideox").model_dump()))
