"""How much faster the judge `videophy2` is than the original's order of work, with equal answers.

Both sides use the same random weights, clips and machine, in one process. The baseline does what
the published script does: for every question on its own it decodes the clip, encodes it and
generates with batch 1. The judge decodes and encodes each clip once, reads the text before the
questions once, and generates for all questions together.

    python benchmarks/bench_videophy2.py --sizes 100m --clips 4 --tokens 16 255
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import tools.models.owl_checkpoint as tiny

from phybench import Clip, JudgeRequest, Score
from phybench.judges import videophy2
from phybench.judges.mplug_owl.engine import Loaded
from phybench.judges.mplug_owl.engine import load_owl as load_judge
from phybench.judges.mplug_owl.frames import normalise, read_clip

RULES = (
    "A dropped ball falls to the ground.",
    "Water flows from high to low.",
    "The mirror shows what stands before it.",
)
SIZES = {
    "tiny": tiny.sizes(queries=5),
    # Vision and language share the work about 2:1, as in the real model.
    "100m": tiny.sizes(
        queries=64,
        vision={
            "hidden_size": 256,
            "intermediate_size": 1024,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "image_size": 224,
        },
        bridge={
            "hidden_size": 256,
            "encoder_hidden_size": 256,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 1024,
        },
        text={
            "hidden_size": 896,
            "intermediate_size": 2432,
            "num_hidden_layers": 9,
            "num_attention_heads": 14,
            "vocab_size": 400,
        },
    ),
    "real": tiny.sizes(
        queries=64,
        vision={
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "image_size": 224,
        },
        bridge={
            "hidden_size": 1024,
            "encoder_hidden_size": 1024,
            "num_hidden_layers": 6,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
        },
        # 400 pieces instead of 32 000: the tokenizer is trained on the spot.
        text={
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "vocab_size": 400,
        },
    ),
}


@dataclass(frozen=True)
class Seconds:
    """What some work took: on the clock, and of processor time (all threads)."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Timing:
    """One comparison over all clips, and whether all answers are the same."""

    tokens: int
    separate: Seconds
    judge: Seconds
    same: bool

    @property
    def ratio(self) -> float:
        return self.separate.wall / self.judge.wall

    @property
    def cpu_ratio(self) -> float:
        """As the ratio, but blind to what else the machine was doing."""
        return self.separate.cpu / self.judge.cpu


@torch.inference_mode()
def separate_answers(loaded: Loaded, requests: Sequence[JudgeRequest], tokens: int) -> list[str]:
    """The original's order of work: decode, encode and generate anew for every question."""
    config = loaded.model.config
    dtype = loaded.model.vision.cls_token.dtype
    answers = []
    for request in requests:
        for prompt in videophy2.prompts_of(request):
            frames = read_clip(request.clip.path, config.vision_config.image_size)
            pixels = normalise(frames, device=loaded.device).to(dtype)
            media = loaded.model.encode(pixels[None])
            ids = torch.tensor([loaded.tokenizer.encode_turns_whole(prompt)], device=loaded.device)
            written = loaded.model.language.generate(
                inputs_embeds=loaded.model.embed(ids, media),
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                do_sample=False,
                pad_token_id=0,
            )
            answers.append(loaded.tokenizer.decode(written[0].tolist()))
    return answers


def judge_answers(judge: videophy2.VideoPhy2, requests: Sequence[JudgeRequest]) -> list[str]:
    """All answers of the judge, in the order of the questions."""
    answers = []
    for result in judge.score(requests):
        assert isinstance(result, Score), result
        parts = [result.details["sa"], result.details["pc"], *result.details["rules"]]
        answers += [part["reply"] for part in parts]
    return answers


def timed(work: Callable[[], list[str]], device: str) -> tuple[list[str], Seconds]:
    wall, cpu = time.perf_counter(), time.process_time()
    answers = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return answers, Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def compare(
    folder: Path, requests: Sequence[JudgeRequest], tokens: int, options: dict[str, str]
) -> tuple[Timing, int]:
    """Run both sides once; returns the timing and the number of parameters."""
    judge = videophy2.VideoPhy2(
        model=str(folder), reading="faithful", max_new_tokens=tokens, batch=4, **options
    )
    loaded = load_judge(judge.settings)
    # Both sides pay for warming up before the clock starts.
    judge.score(requests[:1])
    separate_answers(loaded, requests[:1], 1)
    ours, judge_time = timed(lambda: judge_answers(judge, requests), loaded.device)
    theirs, separate = timed(lambda: separate_answers(loaded, requests, tokens), loaded.device)
    parameters = sum(parameter.numel() for parameter in loaded.model.parameters())
    return Timing(tokens, separate, judge_time, ours == theirs), parameters


def make_requests(folder: Path, clips: int, height: int) -> list[JudgeRequest]:
    size = (height, height * 3 // 2)
    paths = [
        tiny.write_clip(folder / f"clip{n}.mp4", seed=n, frames=49, size=size) for n in range(clips)
    ]
    return [
        JudgeRequest(Clip(path, path.name, frames=49, fps=8.0), f"a ball falls {n} times", RULES)
        for n, path in enumerate(paths)
    ]


def table(timings: Sequence[Timing], clips: int) -> str:
    rows = [
        f"| {timing.tokens} | {timing.separate.wall / clips:.2f} | {timing.judge.wall / clips:.2f} "
        f"| {timing.ratio:.2f}x | {timing.separate.cpu / clips:.2f} | "
        f"{timing.judge.cpu / clips:.2f} | {timing.cpu_ratio:.2f}x | "
        f"{'yes' if timing.same else 'NO'} |"
        for timing in timings
    ]
    head = (
        "| tokens per answer | separate, s/clip | videophy2, s/clip | ratio | separate, CPU s/clip "
        "| videophy2, CPU s/clip | ratio of CPU | same answers |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    return "\n".join([head, *rows])


def main(arguments: Sequence[str] | None = None) -> list[Timing]:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", choices=list(SIZES), default="100m")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--height", type=int, default=256, help="pixels, a multiple of 16")
    parser.add_argument("--tokens", type=int, nargs="+", default=[3, 16])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--quantize", default="none")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    how = {"device": options.device, "dtype": options.dtype, "quantisation": options.quantize}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "judge"
        config = SIZES[options.sizes]
        tiny.write_checkpoint(folder, config, tiny.random_state(config, seed=1))
        requests = make_requests(Path(scratch), options.clips, options.height)
        runs = [compare(folder, requests, tokens, how) for tokens in options.tokens]
    timings = [timing for timing, _ in runs]
    print(f"{runs[0][1] / 1e6:.1f} M parameters, {options.clips} clips, {how}")
    if options.device == "cuda":
        print(f"peak GPU memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    print(table(timings, options.clips))
    return timings


if __name__ == "__main__":
    main()
