"""Every violation breaks its law, measured on the simulated state and not read from the label."""

from __future__ import annotations

import numpy as np
import pytest

from phybench.tabletop.drawing.clips import draw
from phybench.tabletop.world.families import FAMILIES, sample_scene
from phybench.tabletop.world.scene import FLOOR, GRAVITY
from phybench.tabletop.world.simulate import clip_times, simulate
from phybench.tabletop.world.violations import BREACHES, LAWS, VIOLATIONS, breaches

SEEDS = range(5)
FPS = 24.0
ROWS = [pytest.param(row, id=f"{row.family}-{row.violation}") for row in BREACHES]


def runs(row):
    for seed in SEEDS:
        broken = simulate(sample_scene(row.family, seed, row.violation), clip_times(fps=FPS))
        lawful = simulate(sample_scene(row.family, seed), clip_times(fps=FPS))
        assert broken.onset is not None
        yield broken, lawful


def after(run, track):
    """Rows of a track from the onset on, while the thing is in the picture."""
    return (run.times > run.onset) & (np.abs(track.x - 32) < 36) & (track.y < 70)


def gap_below(run, track, frame):
    """Distance from a thing's lowest point to the table or to the highest thing under it."""
    others = [
        t.y[frame] + t.thing.height / 2
        for t in run.tracks
        if t is not track
        and t.visible[frame]
        and abs(t.x[frame] - track.x[frame]) < (t.thing.width + track.thing.width) / 2
        and t.y[frame] < track.y[frame]
        and t.thing.name != "plank"
    ]
    surface = run.level[frame] if run.level is not None else FLOOR
    return track.y[frame] - track.thing.height / 2 - max([surface, *others])


def check_levitates(run, lawful, track):
    quiet = slice(-8, None)
    assert np.abs(track.vy[quiet]).max() < 6.0
    assert gap_below(run, track, -1) > 4.0


def check_falls_upward(run, lawful, track):
    rising = after(run, track) & (track.vy > 5.0)
    assert rising.sum() >= 8  # a third of a second
    assert track.vy[rising].max() > track.vy[rising][0] + 5.0
    climbs = {"ramp": 4.0, "pendulum": 12.0}.get(run.scene.family, 8.0)
    assert track.y[after(run, track)].max() > track.y[rising][0] + climbs


def _energy(run, track):
    energy = 0.5 * (track.vx**2 + track.vy**2) + GRAVITY * (track.y - FLOOR)
    for link in run.scene.links:
        stretch = np.hypot(track.x - link.x, track.y - link.y) - link.length
        energy = energy + 0.5 * link.stiffness * stretch**2
    return energy


def check_gains_energy(run, lawful, track):
    start = _energy(run, track)[0]
    if run.scene.family == "collide":
        striker = lawful.track("striker")
        mass = track.thing.width**2 / striker.thing.width**2
        assert 0.5 * mass * (track.vx**2).max() > 1.15 * 0.5 * (striker.vx[:8] ** 2).max() * 0.6
        assert np.abs(track.vx).max() > 1.8 * np.abs(lawful.track("target").vx).max()
    elif run.scene.family == "spring":
        swing = np.abs(track.y - lawful.track("subject").y[0])
        middle = run.scene.links[0]
        rest = middle.y - middle.length - GRAVITY / middle.stiffness
        swing = np.abs(track.y - rest)
        assert swing[24:].max() > 1.25 * swing[0]
    elif run.scene.family == "slide":
        begun = int(run.onset * FPS) + 1
        assert np.abs(track.vx).max() > 1.3 * np.abs(track.vx[begun])
    elif run.scene.family in ("drop", "throw", "stack"):
        landed = int(run.onset * FPS) + 2
        assert track.y[landed:].max() > track.y[: landed - 2].max() + 2.0
    else:
        assert _energy(run, track).max() > 1.15 * start


def check_vanishes(run, lawful, track):
    assert track.visible[0]
    assert not track.visible[-1]
    last = int(np.argmin(track.visible)) - 1
    assert 4 < track.x[last] < 60
    assert 4 < track.y[last] < 60


def check_duplicates(run, lawful, track):
    copy = run.tracks[-1]
    assert len(run.tracks) == len(lawful.tracks) + 1
    assert not copy.visible[0]
    first = int(np.argmax(copy.visible))
    assert copy.visible[first:].all()
    assert 4 < copy.x[first] < 60
    assert 12 < copy.y[first] < 58


def check_teleports(run, lawful, track):
    jump = np.hypot(np.diff(track.x), np.diff(track.y))
    frame = int(jump.argmax())
    speed = np.hypot(track.vx, track.vy)[frame : frame + 2].max()
    assert jump[frame] > 9.0
    assert jump[frame] > 3.0 * speed / FPS


def check_passes_through(run, lawful, track):
    if run.scene.family in ("drop", "throw", "ramp", "buoyancy"):
        assert track.y[-1] < FLOOR  # below the table's top
        return
    others = [t for t in run.tracks if t.thing.name != track.thing.name]
    reach = min(track.thing.width, track.thing.height) / 2
    inside = [
        (np.abs(track.x - t.x) < t.thing.width / 2 + reach - 1.5)
        & (np.abs(track.y - t.y) < t.thing.height / 2 + reach - 1.5)
        for t in others
        if t.thing.name != "plank"
    ]
    plank = [t for t in others if t.thing.name == "plank"]
    if plank:
        assert track.y[-1] < FLOOR + track.thing.height
        assert np.allclose(plank[0].angle, plank[0].angle[0], atol=0.02)
    else:
        assert np.any(inside, axis=0).sum() >= 2


def check_no_reaction(run, lawful, track):
    assert np.ptp(track.x) < 0.3
    assert np.ptp(track.angle) < 0.02
    moved = lawful.track(track.thing.name)
    assert np.ptp(moved.x) > 2.0 or np.ptp(moved.angle) > 0.3


def check_moves_untouched(run, lawful, track):
    moving = int(np.argmax(np.abs(track.x - track.x[0]) > 2.5))
    assert moving > 0
    for other in run.tracks:
        if other is not track:
            apart = abs(other.x[moving] - track.x[moving])
            assert apart > (other.thing.width + track.thing.width) / 2 + 2.0


def check_freezes(run, lawful, track):
    begun = int(np.ceil(run.onset * FPS))
    before = max(
        np.hypot(t.vx, t.vy)[begun - 2 : begun].max() + np.abs(t.spin[begun - 2 : begun]).max()
        for t in run.tracks
    )
    assert before > 8.0
    held = slice(begun + 1, None)
    assert len(track.x[held]) >= 8
    assert np.ptp(track.x[held]) == 0.0
    assert np.ptp(track.y[held]) == 0.0
    free = lawful.track(track.thing.name)
    there = np.hypot(free.x[held] - track.x[-1], free.y[held] - track.y[-1])
    turned = np.abs(free.angle[held] - track.angle[-1])
    assert there.max() > 4.0 or turned.max() > 0.4


def check_morphs(run, lawful, track):
    assert track.recoloured[-1] or track.scale[-1] > 1.5
    assert not track.recoloured[0]
    assert track.scale[0] == 1.0
    if track.recoloured[-1]:
        assert run.scene.violation.second_colour != track.thing.look.colour


CHECKS = {name.removeprefix("check_"): f for name, f in globals().items() if name[:6] == "check_"}


@pytest.mark.parametrize("row", ROWS)
def test_the_violation_breaks_its_law(row):
    for broken, lawful in runs(row):
        if broken.pour:
            check_pour(row.violation, broken, lawful)
        elif row.target == "liquid":
            assert broken.level[-1] < lawful.level[-1] - 6.0
        else:
            name = "domino 4" if row.target == "every domino" else row.target
            CHECKS[row.violation](broken, lawful, broken.track(name))


def check_pour(violation, broken, lawful):
    whole = broken.pour.cup + broken.pour.stream + broken.pour.glass
    start = whole[0]
    if violation == "morphs":
        assert broken.pour.recoloured[-1]
        assert not broken.pour.recoloured[0]
    elif violation == "freezes":
        held = broken.times > broken.onset
        assert held.sum() >= 20
        assert np.ptp(broken.pour.cup[held]) == 0.0
        assert broken.pour.stream[-1] > 1.0
        assert broken.pour.glass[-1] == 0.0
    elif violation == "liquid_grows":
        assert whole[-1] > 1.8 * start
    elif violation == "falls_upward":
        assert broken.pour.rises
        assert broken.pour.stream.max() > 5.0
        assert broken.pour.glass[-1] == 0.0
    else:  # it went missing, or through the glass and the table
        assert whole[-1] < 0.3 * start
        assert lawful.pour.glass[-1] > 0.9 * start


@pytest.mark.parametrize("row", ROWS)
def test_the_violation_is_seen_early_and_in_many_pixels(row):
    for seed in SEEDS:
        broken, truth = draw(row.family, seed, row.violation)
        lawful, _ = draw(row.family, seed)
        assert truth["violation"] == row.violation
        assert truth["law"] == LAWS[row.law]
        assert truth["onset_s"] < 1.45
        different = (np.abs(broken.astype(int) - lawful.astype(int)).max(axis=3) > 60).sum((1, 2))
        assert (different >= 12).sum() >= 4  # frames of 17 with a dozen different pixels


@pytest.mark.parametrize("family", FAMILIES)
def test_a_violation_changes_nothing_before_it_begins(family):
    for row in breaches(family):
        broken, truth = draw(family, 1, row.violation)
        lawful, _ = draw(family, 1)
        # A law of contact is broken a little after the touch, when one thing is well inside the
        # other; what makes light things sink acts from the water's surface on.
        early = 0.1 if row.violation == "passes_through" else 0.0
        begin = 0.3 if family == "buoyancy" else truth["onset_s"] - early
        earlier = np.arange(17) / 8 < begin - 1 / 240
        if not earlier.any():
            continue
        # A held plank does not give under its load: a few grey levels.
        assert np.abs(broken[earlier].astype(int) - lawful[earlier]).max() <= 16


def test_every_violation_and_law_is_used_and_known():
    assert {row.violation for row in BREACHES} == set(VIOLATIONS)
    assert {row.law for row in BREACHES} <= set(LAWS)
    pairs = [(row.family, row.violation) for row in BREACHES]
    assert len(pairs) == len(set(pairs))
    assert {row.family for row in BREACHES} == set(FAMILIES)
    assert all(len(breaches(family)) >= 5 for family in FAMILIES)


def test_a_violation_that_does_not_apply_is_refused():
    with pytest.raises(ValueError, match="applies to 'pendulum'"):
        sample_scene("pendulum", 0, "liquid_grows")


def test_a_violation_too_late_to_be_seen_is_none():
    _, truth = draw("drop", 0, "vanishes", frames=4)
    assert truth["lawful"]
    assert truth["violation"] is None
