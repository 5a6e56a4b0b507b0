"""Each measurement of `kinematic` on analytic clips, with golden numbers and their derivation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools.simple_renderers import COLOURS, FLOOR, Thing, World, render

from phybench.judges.kinematic.assess import Assessment, assess
from phybench.judges.kinematic.motion.flight import find_flights, measure_gravity
from phybench.judges.kinematic.seeing.appearance import colour_name
from phybench.judges.kinematic.seeing.backdrop import find_backdrop, pixel_noise, shrink
from phybench.judges.kinematic.thresholds import Thresholds
from phybench.tabletop.drawing.clips import draw

LIMITS = Thresholds()
RED, BLUE = COLOURS["red"], COLOURS["blue"]


def film(*paths, fps=16.0, seconds=1.5, radius=0.08, size=64, style="gradient", **thing):
    """A clip of balls whose places (fractions of the height) are functions of time."""
    colours = (RED, BLUE)

    def at(t):
        places = [path(t) for path in paths]
        return [
            Thing(*place, radius, colours[index], **thing)
            for index, place in enumerate(places)
            if place is not None
        ]

    rng = np.random.default_rng(0)
    return render(World(at, seconds), style, size, int(seconds * fps) + 1, fps, rng)


def measured(frames, fps=16.0) -> Assessment:
    assessment = assess(frames, fps, LIMITS)
    assert assessment.reason == ""
    return assessment


def found(frames, fps=16.0) -> set[str]:
    return {finding.id for finding in measured(frames, fps).findings}


ON_FLOOR = FLOOR - 0.08


def falling(t, gravity=40 / 64, start=0.15):
    return 0.5, start + gravity * t * t / 2


@pytest.mark.parametrize("fps", [8.0, 16.0, 24.0])
def test_gravity_of_a_parabola(fps):
    # 40 px/s^2 in a picture of 64 px; per step of 1/8 s (stride 1, 2, 3 frames) that is
    # 40 / 8^2 = 0.625 px, as the second difference of y = g t^2 / 2 is g dt^2.
    frames = film(falling, fps=fps, seconds=1.25)
    observation = measured(frames, fps).observation
    gravity = measure_gravity(observation, find_flights(observation, LIMITS), LIMITS)
    assert gravity == pytest.approx(0.625, rel=0.08)


@settings(max_examples=20, deadline=None)
@given(x=st.floats(0.3, 0.6), y=st.floats(0.3, 0.6), radius=st.floats(0.06, 0.1))
def test_centre_and_area_of_a_disc(x, y, radius):
    # The renderer puts pixel i at i + 0.5; the disc covers pi r^2.
    frames = film(lambda t: (x + 0.1 * t, y), radius=radius, seconds=0.5)
    [own] = measured(frames).observation.motions
    assert own.x[0] == pytest.approx(64 * x - 0.5, abs=0.12)
    assert own.y[0] == pytest.approx(64 * y - 0.5, abs=0.12)
    assert own.area[0] == pytest.approx(np.pi * (64 * radius) ** 2, rel=0.06)


def test_noise_is_measured():
    noise = np.random.default_rng(1).normal(0, 5, (17, 64, 64, 3))
    frames = np.clip(np.rint(draw("slide", 3)[0] + noise), 0, 255).astype(np.uint8)
    assert pixel_noise(shrink(frames, 64)) == pytest.approx(5, rel=0.15)


def test_shrinking_keeps_the_mean():
    frames = np.random.default_rng(1).integers(0, 256, (2, 100, 150, 3)).astype(np.uint8)
    small = shrink(frames, 64)
    assert small.shape == (2, 64, 96, 3)
    assert small.mean(axis=(1, 2)) == pytest.approx(frames.mean(axis=(1, 2)), abs=0.01)


def test_backdrop_forgets_a_thing_that_rests_for_most_of_the_clip():
    frames = film(lambda t: (0.3 + max(0.0, t - 1.0), ON_FLOOR), seconds=1.5)
    empty = film(lambda t: None, seconds=0.5)[0]
    picture = find_backdrop(shrink(frames, 64), LIMITS).picture
    # Single rows at the floor's edge may take a neighbour's colour.
    assert np.quantile(np.abs(picture - empty), 0.99) < 12


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (falling, None),
        (lambda t: falling(min(t, 0.6)), "falls_upward"),
        (lambda t: (0.5, 0.6 - 40 / 64 * t * t / 2), "falls_upward"),
        (lambda t: (0.2 + 0.4 * t, 0.3 + 0.02 * t), "levitates"),
    ],
    ids=["falls", "stops in the air", "falls up", "flies straight on"],
)
def test_free_flight(path, expected):
    ids = found(film(path, seconds=1.25))
    assert not ids if expected is None else ids & {expected, "freezes", "levitates"}


def bounce(restitution):
    fall = np.sqrt(2 * 0.3 / 0.9)  # from 0.3 heights above the floor, g = 0.9 heights/s^2

    def path(t):
        if t < fall:
            return 0.5, ON_FLOOR - 0.3 + 0.45 * t * t
        late, speed = t - fall, 0.9 * fall * restitution
        return 0.5, ON_FLOOR - max(0.0, speed * late - 0.45 * late * late)

    return path


@pytest.mark.parametrize(("restitution", "lawful"), [(0.5, True), (0.9, True), (1.25, False)])
def test_second_bounce_may_not_be_higher(restitution, lawful):
    assert ("gains_energy" not in found(film(bounce(restitution)))) == lawful


@pytest.mark.parametrize(("growth", "lawful"), [(-0.3, True), (0.0, True), (0.5, False)])
def test_pendulum_may_not_gain(growth, lawful):
    omega = np.sqrt(2.0 / 0.4)

    def path(t):
        angle = 0.5 * np.exp(growth * t) * np.cos(omega * t)
        return 0.5 + 0.4 * np.sin(angle), 0.15 + 0.4 * np.cos(angle)

    frames = film(path, seconds=2.5, string_to=(0.5, 0.15))
    assert (found(frames) == set()) == lawful


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (lambda t: 1 - max(0.0, 1 - t / 1.2) ** 2, set()),
        (lambda t: min(t, 0.5), {"freezes"}),
        (lambda t: 0.1 * t + 0.5 * t * t, {"gains_energy"}),
        (lambda t: 0.3 * t + 0.4 * (t > 0.7), {"teleports", "gains_energy"}),
    ],
    ids=["slows down", "stops dead", "speeds up", "jumps"],
)
def test_sliding(share, expected):
    assert found(film(lambda t: (0.15 + 0.5 * share(t), ON_FLOOR))) == expected


def collision(after_first, after_second):
    # They touch when the centres are two radii apart: at (0.55 - 0.15 - 0.16) / 0.4 = 0.6 s.
    def first(t):
        return 0.15 + 0.4 * min(t, 0.6) + after_first * max(0.0, t - 0.6), ON_FLOOR

    def second(t):
        return 0.55 + after_second * max(0.0, t - 0.6), ON_FLOOR

    return first, second


@pytest.mark.parametrize(
    ("after_first", "after_second", "expected"),
    [
        (0.04, 0.36, None),
        (-0.1, 0.25, None),
        (0.0, 0.0, "no_reaction"),
        (-0.3, 0.6, "gains_energy"),
        (0.4, 0.0, "passes_through"),
    ],
)
def test_collision(after_first, after_second, expected):
    ids = found(film(*collision(after_first, after_second)))
    assert not ids if expected is None else expected in ids


def test_starting_untouched():
    def second(t):
        return 0.6 + 0.3 * max(0.0, t - 0.5), ON_FLOOR

    assert "moves_untouched" in found(film(lambda t: (0.12 + 0.02 * t, ON_FLOOR), second))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (lambda t: (0.2 + 0.3 * t, ON_FLOOR) if t < 0.7 else None, "vanishes"),
        (lambda t: (0.6 + 0.5 * t, ON_FLOOR), None),
    ],
    ids=["in the middle", "over the edge"],
)
def test_vanishing(path, expected):
    frames = film(path)
    ids = {finding.id for finding in assess(frames, 16.0, LIMITS).findings}
    assert ids == ({expected} if expected else set())


def test_appearing():
    ids = found(
        film(
            lambda t: (0.2 + 0.1 * t, ON_FLOOR),
            lambda t: (0.7, ON_FLOOR) if t > 0.6 else None,
        )
    )
    assert "duplicates" in ids


def test_through_the_floor():
    assert "passes_through" in found(film(lambda t: (0.5, 0.3 + 0.45 * t * t), seconds=1.2))


@pytest.mark.parametrize(
    ("family", "violation"),
    [
        ("pour", "liquid_disappears"),
        ("pour", "liquid_grows"),
        ("pour", "morphs"),
        ("buoyancy", "liquid_disappears"),
        ("buoyancy", "freezes"),
        ("dominoes", "no_reaction"),
        ("dominoes", "moves_untouched"),
        ("dominoes", "vanishes"),
        ("lever", "no_reaction"),
        ("lever", "passes_through"),
        ("spring", "gains_energy"),
        ("spring", "freezes"),
    ],
)
def test_liquids_rows_planks_and_springs(family, violation):
    lawful = [not assess(draw(family, seed)[0], 8.0, LIMITS).findings for seed in range(70, 74)]
    broken = [
        bool(assess(draw(family, seed, violation)[0], 8.0, LIMITS).findings)
        for seed in range(70, 74)
    ]
    assert sum(lawful) >= 3
    assert sum(broken) >= 3


@pytest.mark.parametrize("name", sorted(COLOURS))
def test_colour_names(name):
    assert colour_name(np.array(COLOURS[name], dtype=float)) == name


def test_grey_has_no_colour_name():
    assert colour_name(np.array([120.0, 118.0, 121.0])) == ""


def test_a_soft_shadow_and_a_highlight_are_no_things():
    frames = film(lambda t: (0.2 + 0.3 * t, ON_FLOOR), style="textured", seconds=1.0, radius=0.09)
    assert len(measured(frames).kinds.solids) == 1
