"""The contract kit: checks that any plugin, ours or a third party's, must pass.

Use it from a plugin's own tests::

    from phybench.testing import check_refiner

    def test_contract():
        check_refiner(MyRefiner, ["a ball falls", "water is poured"])

Each check raises :class:`AssertionError` with the sentence of the contract that was broken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from phybench.machine.digest import canonical_json
from phybench.plugins.abilities import RereadsReplies
from phybench.plugins.contracts import (
    Clip,
    ClipRequest,
    Failure,
    Frames,
    Generator,
    Judge,
    JudgeRequest,
    NoVideo,
    PluginInfo,
    Refinement,
    Refiner,
    Score,
    VideoFile,
)
from phybench.units.codec import plain
from phybench.video.clip_store import store_clip

_SEEDS = (0, 2**31 - 1, 12345)


def check_refiner(make: Callable[[], Refiner], prompts: Sequence[str]) -> None:
    """Check a refiner's description, counts, order, batch invariance and seeding.

    Args:
        make: Constructs the refiner; called twice.
        prompts: At least two prompts.
    """
    refiner, again = make(), make()
    check_info(refiner.info)
    assert refiner.info == again.info, "Two plugins with equal options must have equal infos."
    seeds = [_SEEDS[number % len(_SEEDS)] for number in range(len(prompts))]
    batch = list(refiner.refine(list(prompts), seeds))
    _check_results(batch, len(prompts), (Refinement, Failure))
    for result in batch:
        if isinstance(result, Refinement):
            assert result.text.strip(), "A refinement is never empty; return a Failure instead."
            json.dumps(plain(result), allow_nan=False)
    singles = [again.refine([p], [s])[0] for p, s in zip(prompts, seeds, strict=True)]
    _check_equal(batch, singles)
    backwards = list(again.refine(list(prompts)[::-1], seeds[::-1]))[::-1]
    _check_equal(batch, backwards)
    if not refiner.info.seeded:
        other = list(again.refine(list(prompts), [seed ^ 1 for seed in seeds]))
        _check_equal(batch, other)


def check_generator(make: Callable[[], Generator], requests: Sequence[ClipRequest]) -> None:
    """Check a generator's description, counts, order, batch invariance and determinism.

    Args:
        make: Constructs the generator; called twice.
        requests: At least two requests.
    """
    generator, again = make(), make()
    check_info(generator.info)
    assert generator.info == again.info, "Two plugins with equal options must have equal infos."
    with TemporaryDirectory() as name:
        folder = Path(name)
        batch = _stored(generator.generate(list(requests)), folder / "batch")
        singles = [
            _stored(again.generate([request]), folder / f"single{number}")[0]
            for number, request in enumerate(requests)
        ]
        backwards = _stored(again.generate(list(requests)[::-1]), folder / "backwards")[::-1]
    assert len(batch) == len(requests), "A generator returns one result per request."
    for one, other, third in zip(batch, singles, backwards, strict=True):
        assert one == other == third, (
            "The same request must give the same clip whatever else is in the batch."
        )


def check_judge(make: Callable[[], Judge], requests: Sequence[JudgeRequest]) -> None:
    """Check a judge's description, counts, order, batch invariance, scale and broken clips.

    Of a judge that can read its raw replies again, this is checked too.

    Args:
        make: Constructs the judge; called twice.
        requests: At least two requests with readable clips.
    """
    judge, again = make(), make()
    check_info(judge.info)
    assert judge.info == again.info, "Two plugins with equal options must have equal infos."
    batch = list(judge.score(list(requests)))
    _check_results(batch, len(requests), (Score, Failure))
    scale = judge.info.scale
    for result in batch:
        if isinstance(result, Score) and result.sa is not None and result.pc is not None:
            legal = all(scale.low <= value <= scale.high for value in (result.sa, result.pc))
            assert legal, f"Scores must lie in {scale.low}..{scale.high}, but got {result}."
        json.dumps(plain(result), allow_nan=False)
    _check_equal(batch, [again.score([request])[0] for request in requests])
    _check_equal(batch, list(again.score(list(requests)[::-1]))[::-1])
    _check_broken_clip(again, requests[0], batch[0])
    if isinstance(judge, RereadsReplies):
        _check_reread(judge, batch)


def check_info(info: PluginInfo) -> None:
    """Check a plugin's description."""
    assert isinstance(info, PluginInfo), "A plugin's `info` is a PluginInfo."
    for name in ("name", "revision", "licence"):
        assert getattr(info, name).strip(), f"A plugin's `{name}` is never empty."
    assert info.max_batch >= 1, "A plugin's `max_batch` is at least 1."
    assert info.gpu_gib >= 0, "A plugin's `gpu_gib` is not negative."
    canonical_json(dict(info.fingerprint))


def _check_reread(judge: RereadsReplies, results: Sequence[Score | Failure]) -> None:
    for result in results:
        was_read = isinstance(result, Score) or result.kind == "parse"
        if result.reply and was_read:
            again = judge.reread(result.reply)
            assert _numbers(again) == _numbers(result), (
                f"A reply must be read again as it was, but {result} became {again}."
            )
    for text in ("", "{", "no reply of this judge \ud800", "[" * 10_000):
        assert isinstance(judge.reread(text), Score | Failure), "Rereading never raises."


def _numbers(result: Score | Failure) -> tuple[float | None, float | None] | None:
    return None if isinstance(result, Failure) else (result.sa, result.pc)


def _check_results(results: Sequence[Any], count: int, types: tuple[type, ...]) -> None:
    assert len(results) == count, f"Expected {count} results, one per input, got {len(results)}."
    for result in results:
        assert isinstance(result, types), f"Expected one of {types}, but got {result!r}."


def _check_equal(one: Sequence[Any], other: Sequence[Any]) -> None:
    assert list(one) == list(other), (
        "The same input must give the same result whatever else is in the batch."
    )


def _check_broken_clip(judge: Judge, request: JudgeRequest, expected: Score | Failure) -> None:
    """A clip that cannot be read is a failure or unscored, and does not touch its neighbour."""
    with TemporaryDirectory() as name:
        path = Path(name) / "broken.mp4"
        path.write_bytes(b"no video")
        broken = replace(request, clip=Clip(path, "0" * 64, frames=1, fps=1, width=2, height=2))
        result, neighbour = judge.score([broken, request])
    assert neighbour == expected, "A broken clip must not change its neighbour's score."
    scored = isinstance(result, Score) and result.sa is not None
    assert not scored, f"A clip that cannot be read must not get a score, but got {result}."


def _stored(
    made: Sequence[Frames | VideoFile | NoVideo | Failure], folder: Path
) -> list[tuple[Any, ...]]:
    """What judges would see of each result: the file's digest and its meta data."""
    folder.mkdir()
    found: list[tuple[Any, ...]] = []
    for number, one in enumerate(made):
        assert isinstance(one, Frames | VideoFile | NoVideo | Failure), f"Not a clip: {one!r}."
        clip = one if isinstance(one, Failure) else store_clip(one, folder, f"{number:08d}")
        if isinstance(clip, Failure):
            found.append(("failure", clip.kind, clip.message))
        else:
            found.append((clip.sha256, clip.frames, canonical_json(dict(clip.meta))))
    return found
