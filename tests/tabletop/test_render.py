"""Pixels: sizes, colours, areas and stillness."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from phybench.tabletop.drawing.clips import draw
from phybench.tabletop.drawing.render import render
from phybench.tabletop.world.families import FAMILIES, sample_scene
from phybench.tabletop.world.scene import COLOURS, PALETTES
from phybench.tabletop.world.simulate import simulate

PRINT_DIGEST = """
import hashlib
from phybench.tabletop.drawing.clips import draw
from phybench.tabletop.world.families import FAMILIES
digest = hashlib.sha256()
for family in FAMILIES:
    digest.update(draw(family, 5)[0].tobytes())
print(digest.hexdigest())
"""


def near(frames, colour, tolerance=30):
    return np.abs(frames.astype(int) - np.array(COLOURS[colour])).max(axis=-1) < tolerance


def test_another_process_draws_the_same_bytes():
    digest = hashlib.sha256()
    for family in FAMILIES:
        digest.update(draw(family, 5)[0].tobytes())
    other = subprocess.run(
        [sys.executable, "-c", PRINT_DIGEST], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == digest.hexdigest()


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_a_ball_covers_its_area_at_every_size(size):
    scene = sample_scene("drop", 1)
    assert scene.things[0].look.shape == "ball"
    frames = render(simulate(scene), size)
    assert frames.shape == (17, size, size, 3)
    assert frames.dtype == np.uint8
    wall = np.array(PALETTES[scene.palette].wall)
    ball = np.array(COLOURS[scene.things[0].look.colour])
    # Along the line from wall to ball colour, anti-aliased pixels count by their share.
    share = ((frames[0] - wall) @ (ball - wall)) / ((ball - wall) @ (ball - wall))
    above_table = share[: int(size * 50 / 64)]
    expected = np.pi / 4 * (scene.things[0].width * size / 64) ** 2
    assert above_table.sum() == pytest.approx(expected, rel=0.05)


def test_a_wide_picture_shows_the_same_world_in_its_middle():
    run = simulate(sample_scene("throw", 2))
    square, wide = render(run, 64), render(run, width=96, height=64)
    assert wide.shape == (17, 64, 96, 3)
    assert np.array_equal(wide[:, :, 16:80], square)


def test_the_background_stands_still():
    frames, _ = draw("slide", 3)
    assert (frames[:, :30] == frames[:1, :30]).all()
    assert (frames[:, 58:] == frames[:1, 58:]).all()


def test_poured_pixels_are_conserved():
    for seed in range(4):
        scene = sample_scene("pour", seed)
        frames = render(simulate(scene), 256)
        pixels = near(frames, scene.pour.colour).sum(axis=(1, 2))
        assert pixels.min() > 0.9 * pixels.max()


def test_every_colour_stands_out_from_every_background_and_other_colour():
    things = [np.array(rgb) for rgb in COLOURS.values()]
    still = [np.array(rgb) for p in PALETTES.values() for rgb in (p.wall, p.table, p.fixture)]
    for index, colour in enumerate(things):
        others = things[:index] + still
        assert min(np.linalg.norm(colour - other) for other in others) > 55
        assert colour.max() - colour.min() > 2 * max(rgb.max() - rgb.min() for rgb in still)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_truth_names_what_is_drawn(family):
    scene = sample_scene(family, 4)
    frames, truth = draw(family, 4)
    assert [thing["role"] for thing in truth["objects"]] == [
        role.name for role in FAMILIES[family].roles
    ]
    for thing in truth["objects"]:
        assert near(frames, thing["colour"]).sum() > 40
    others = set(COLOURS) - {thing["colour"] for thing in truth["objects"]}
    assert all(near(frames, colour, 20).sum() == 0 for colour in others)
    assert truth["lawful"]
    assert scene.violation is None
