"""Lawful scenes obey the laws, measured on the simulated state."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from phybench.tabletop.world.families import FAMILIES, sample_scene
from phybench.tabletop.world.scene import EXTENT, FLOOR, GRAVITY, STEP
from phybench.tabletop.world.simulate import clip_times, simulate
from phybench.tabletop.world.world import mass_of, moment_of

SEEDS = range(6)
EVERY_STEP = np.arange(481) * STEP


def kinetic(track):
    mass = mass_of(track.thing)
    turning = 0.5 * moment_of(track.thing, mass) * track.spin**2
    return 0.5 * mass * (track.vx**2 + track.vy**2) + turning


def total_energy(run):
    energy = sum(kinetic(t) + mass_of(t.thing) * GRAVITY * t.y for t in run.tracks)
    for link in run.scene.links:
        if link.kind == "spring":
            track = run.track(link.thing)
            stretch = np.hypot(track.x - link.x, track.y - link.y) - link.length
            energy = energy + 0.5 * link.stiffness * mass_of(track.thing) * stretch**2
    return energy


@pytest.mark.parametrize("seed", SEEDS)
def test_free_fall_accelerates_with_gravity(seed):
    track = simulate(sample_scene("drop", seed), EVERY_STEP).track("subject")
    falling = track.y[:120]  # half a second: it falls for more than 0.6 s
    acceleration = np.diff(falling, 2) / STEP**2
    assert np.allclose(acceleration, -GRAVITY, rtol=1e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_thrown_thing_keeps_its_sideways_speed_in_the_air(seed):
    track = simulate(sample_scene("throw", seed), EVERY_STEP).track("subject")
    assert np.allclose(track.vx[:200], track.vx[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("family", "seed"),
    list(itertools.product([f for f in FAMILIES if f not in ("pour", "buoyancy")], SEEDS)),
)
def test_energy_never_grows(family, seed):
    run = simulate(sample_scene(family, seed), EVERY_STEP)
    energy = total_energy(run)
    ground = sum(mass_of(t.thing) * GRAVITY * FLOOR for t in run.tracks)
    highest_so_far = np.maximum.accumulate(energy)
    # 2 % of the energy above the table, for the integrator and the contact solver.
    assert (highest_so_far - energy[0] <= 0.02 * (energy[0] - ground)).all()


@pytest.mark.parametrize("seed", range(12))
def test_momentum_is_conserved_when_balls_collide(seed):
    run = simulate(sample_scene("collide", seed), EVERY_STEP)
    striker, target = run.track("striker"), run.track("target")
    hit = int(np.argmax(np.abs(np.diff(striker.vx)) > 5.0))
    before, after = hit, hit + 1
    momentum = sum(mass_of(t.thing) * t.vx for t in (striker, target))
    assert np.abs(target.vx[before]) < 0.5
    assert np.abs(target.vx[after]) > 5.0
    assert momentum[after] == pytest.approx(momentum[before], rel=0.05)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_bounce_is_lower(seed):
    track = simulate(sample_scene("drop", seed), EVERY_STEP).track("subject")
    first = int(np.argmax(track.vy > 0))
    assert first > 0
    assert track.y[first:].max() < track.y[0] - 8


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pendulum_does_not_rise_above_its_start_and_keeps_its_rod(seed):
    scene = sample_scene("pendulum", seed)
    track, link = simulate(scene, EVERY_STEP).track("subject"), scene.links[0]
    length = np.hypot(track.x - link.x, track.y - link.y)
    assert np.allclose(length, link.length, rtol=5e-3)
    assert track.y.max() <= track.y[0] + 0.2
    assert (track.x - link.x).min() < -5
    assert (track.x - link.x).max() > 5


@pytest.mark.parametrize("seed", SEEDS)
def test_friction_stops_what_slides(seed):
    track = simulate(sample_scene("slide", seed), EVERY_STEP).track("subject")
    assert (np.diff(np.abs(track.vx)) < 0.2).all()
    assert abs(track.vx[-1]) < 0.5
    assert abs(track.x[-1] - track.x[0]) > 25


@pytest.mark.parametrize("seed", SEEDS)
def test_all_dominoes_fall(seed):
    run = simulate(sample_scene("dominoes", seed), EVERY_STEP)
    for number in range(1, 6):
        assert abs(run.track(f"domino {number}").angle[-1]) > 0.8


@pytest.mark.parametrize("seed", SEEDS)
def test_the_tower_stands_and_carries_the_block(seed):
    run = simulate(sample_scene("stack", seed), EVERY_STEP)
    subject = run.track("subject")
    top = max(t.y[-1] + t.thing.height / 2 for t in run.tracks if t.thing.name != "subject")
    assert subject.y[-1] > top
    assert all(abs(t.x[-1] - t.x[0]) < 1.0 for t in run.tracks)


@pytest.mark.parametrize("seed", range(10))
def test_light_things_float_and_heavy_ones_sink(seed):
    scene = sample_scene("buoyancy", seed)
    run = simulate(scene, EVERY_STEP)
    track = run.track("subject")
    below_surface = run.level[-1] - track.y[-1]
    if scene.outcome == "floats":
        assert abs(below_surface) < track.thing.height / 2
    else:
        assert track.y[-1] - track.thing.height / 2 == pytest.approx(scene.tank.bottom, abs=0.5)


def test_both_outcomes_in_a_tank_occur():
    outcomes = {sample_scene("buoyancy", seed).outcome for seed in range(20)}
    assert outcomes == {"floats", "sinks"}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_spring_swings_less_and_less(seed):
    scene = sample_scene("spring", seed)
    track = simulate(scene, EVERY_STEP).track("subject")
    middle = scene.links[0].y - scene.links[0].length - GRAVITY / scene.links[0].stiffness
    swing = np.abs(track.y - middle)
    assert swing[240:].max() < 0.75 * swing[:120].max()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_seesaw_tips(seed):
    run = simulate(sample_scene("lever", seed), EVERY_STEP)
    plank, load = run.track("plank"), run.track("load")
    assert np.sign(plank.angle[-1]) == -np.sign(plank.angle[0])
    assert load.y.max() > load.y[0] + 8


@pytest.mark.parametrize("seed", range(10))
def test_poured_liquid_is_conserved(seed):
    scene = sample_scene("pour", seed)
    pour = simulate(scene, EVERY_STEP).pour
    whole = pour.cup + pour.stream + pour.glass
    assert np.allclose(whole, scene.pour.area, rtol=1e-6)
    assert pour.glass[-1] > 0.9 * scene.pour.area
    assert (np.diff(pour.tilt) > -1e-9).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_leaves_a_lawful_scene_but_at_the_sides(family):
    for seed in range(8):
        run = simulate(sample_scene(family, seed))
        for track in run.tracks:
            assert (track.y > FLOOR).all()
            assert (track.y + track.thing.height / 2 < EXTENT).all()
            assert track.visible.all()
            assert not track.recoloured.any()
            assert (track.scale == 1.0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_frame_rate_only_samples_the_motion(family):
    scene = sample_scene(family, 3)
    slow, fast = simulate(scene, clip_times(fps=8)), simulate(scene, clip_times(fps=24))
    for coarse, fine in zip(slow.tracks, fast.tracks, strict=True):
        assert np.array_equal(coarse.x, fine.x[::3])
        assert np.array_equal(coarse.y, fine.y[::3])
    if slow.pour:
        assert np.allclose(slow.pour.glass, fast.pour.glass[::3], atol=1e-9)
