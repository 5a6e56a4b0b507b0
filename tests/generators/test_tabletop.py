"""The generator `tabletop` through its public interface."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from phybench.generators.tabletop import Tabletop
from phybench.judges.oracle import Oracle
from phybench.plugins.abilities import TokenCounter
from phybench.plugins.contracts import (
    Clip,
    ClipRequest,
    Failure,
    Frames,
    Generator,
    JudgeRequest,
    VideoSettings,
)
from phybench.refiners.template import Template
from phybench.tabletop import fingerprint
from phybench.tabletop.drawing.clips import truth
from phybench.tabletop.texts.imagine import imagine
from phybench.tabletop.texts.prompt_sets import build
from phybench.tabletop.world.simulate import simulate
from phybench.testing import check_generator

TEXT = "A large red ball falls onto a table and bounces."
FILLER = (
    " The room is quiet and the light is soft and warm. A plant grows far behind, near a window,"
    " and a clock is on the wall. The camera does not change its place. The mood is calm, with a"
    " shallow depth of field and some film grain."
)


def one(text, seed=1, **settings):
    [clip] = Tabletop().generate([ClipRequest(text, seed, settings=VideoSettings(**settings))])
    return clip


def test_it_is_a_generator_that_counts_words():
    generator = Tabletop()
    assert isinstance(generator, Generator)
    assert isinstance(generator, TokenCounter)
    assert generator.info.simulated
    assert generator.count_tokens(["", "a red ball", "don't stop"]) == [0, 3, 2]
    json.dumps(generator.info.fingerprint)


def test_equal_requests_give_equal_bytes_whatever_the_batch():
    requests = [ClipRequest(row.text, seed) for seed, row in enumerate(build("test")[:8])]
    together = Tabletop().generate(requests)
    alone = [Tabletop().generate([request])[0] for request in reversed(requests)][::-1]
    for one_clip, other in zip(together, alone, strict=True):
        assert one_clip.frames.tobytes() == other.frames.tobytes()
        assert one_clip.meta == other.meta


def test_another_seed_gives_another_clip():
    assert one(TEXT, 1).frames.tobytes() != one(TEXT, 2).frames.tobytes()


@pytest.mark.parametrize(
    ("wishes", "shape", "fps"),
    [
        ({}, (17, 64, 64, 3), 8.0),
        ({"fps": 24.0}, (49, 64, 64, 3), 24.0),
        ({"fps": 4.0}, (9, 64, 64, 3), 4.0),
        ({"width": 32, "height": 32}, (17, 32, 32, 3), 8.0),
        ({"width": 96, "height": 64, "frames": 9}, (9, 64, 96, 3), 8.0),
        ({"height": 128}, (17, 128, 128, 3), 8.0),
    ],
)
def test_settings_are_followed(wishes, shape, fps):
    clip = one(TEXT, **wishes)
    assert isinstance(clip, Frames)
    assert clip.frames.shape == shape
    assert clip.fps == fps


@pytest.mark.parametrize(
    ("wishes", "named"),
    [
        ({"width": 31}, "width"),
        ({"width": 65}, "width"),
        ({"height": 512, "width": 64}, "height"),
        ({"fps": 60.0}, "fps"),
        ({"fps": float("nan")}, "fps"),
        ({"frames": 1}, "frames"),
        ({"frames": 100_000}, "frames"),
    ],
)
def test_impossible_settings_are_failures(wishes, named):
    clip = one(TEXT, **wishes)
    assert isinstance(clip, Failure)
    assert clip.kind == "settings"
    assert f"`{named}`" in clip.message


def test_the_truth_is_json_and_tells_requested_from_drawn():
    known = one(TEXT).meta["truth"]
    assert json.loads(json.dumps(known)) == known
    assert known["requested"]["family"] == "drop"
    assert known["requested"]["objects"][0] == {
        "role": "subject",
        "shape": "ball",
        "colour": "red",
        "size": "large",
    }
    assert known["lawful"] == (known["violation"] is None)


@pytest.mark.parametrize("text", ["", "🎬" * 50, "\x00", "ball " * 5000, "a\nred\r\nball\tfalls"])
def test_any_text_makes_a_clip(text):
    assert isinstance(one(text), Frames)


def rates(rewrite, rows, seeds=2):
    """SA, PC and joint rates of rewritten prompts by the ground truth; pixels are not needed."""
    requests = []
    for index, row in enumerate(rows):
        for k in range(seeds):
            imagined = imagine(rewrite(row.text), 7919 * index + k)
            clip = Clip(None, "", meta={"truth": truth(simulate(imagined.scene))})
            requests.append(JudgeRequest(clip, row.text))
    scores = Oracle().score(requests)
    sa = np.array([score.sa >= 4 for score in scores])
    pc = np.array([score.pc >= 4 for score in scores])
    return sa.mean(), pc.mean(), (sa & pc).mean()


@pytest.mark.slow
def test_refiners_have_room_to_differ():
    """600 prompts x 2 seeds: the standard error of a rate is at most 2 points."""
    rows, template = build("test"), Template()
    identity = rates(lambda text: text, rows)
    refined = rates(lambda text: template.refine([text], [0])[0].text, rows)
    assert 0.25 <= identity[2] <= 0.45
    assert refined[1] >= identity[1] + 0.10
    assert refined[0] >= identity[0] - 0.02
    # There is room above the template, too.
    assert refined[2] <= 0.65


@pytest.mark.slow
def test_removing_or_drowning_the_subject_loses_adherence():
    rows = build("test")[:150]
    identity = rates(lambda text: text, rows)
    # "falls onto a table.": nothing coloured is left.
    no_subject = rates(lambda text: " ".join(_without_things(text)), rows)
    long = rates(lambda text: text + FILLER * 6, rows)
    drowned = rates(lambda text: FILLER * 2 + text, rows)
    assert no_subject[0] <= 0.25
    assert long[0] <= identity[0] - 0.3
    assert drowned[0] <= identity[0] - 0.3


def _without_things(text):
    from phybench.tabletop.texts.language import lexicon

    known = {
        w for kind in ("colours", "shapes") for words in lexicon()[kind].values() for w in words
    }
    return [word for word in text.split() if word.strip(".,;").lower() not in known]


def test_it_keeps_the_generators_contract():
    rows = build("test")[:4]
    check_generator(Tabletop, [ClipRequest(row.text, seed) for seed, row in enumerate(rows)])


def test_the_fingerprint_covers_every_module_that_makes_pixels():
    package = Path(fingerprint.__file__).parent
    none_of_it = {"__init__.py", "fingerprint.py", "pictures.py", "prompt_sets.py"}
    makes_pixels = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if path.name not in none_of_it
    }
    assert makes_pixels | {"texts/lexicon.json"} == set(fingerprint.WORLD)
