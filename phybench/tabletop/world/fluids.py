"""Liquids: the pour in closed form, and how much of a thing is under water.

The pour is hydrostatic: at every moment the cup is tipped just so far that its surface reaches the
lip, and the tipping is timed so that the same area leaves it every second. What has left falls
freely, so the stream thins as it speeds up, and arrives at the glass's surface. The area in cup,
stream and glass therefore adds up to the area at the start, exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from phybench.tabletop.world.scene import FLOOR, GRAVITY, Pour, Thing, Violation

if TYPE_CHECKING:
    from numpy.typing import NDArray

GLASS_BOTTOM = FLOOR + 1.2
"""Height of the inner floor of the glass in units."""
EXIT_SPEED = 26.0
"""Downward speed of the liquid as it leaves the lip, units/s."""
_LEFT_IN_CUP = 0.05
"""Share of the liquid that stays in the cup."""
_FAR_BELOW = -20.0


@dataclass(frozen=True, slots=True)
class PourTrack:
    """Where the poured liquid is; arrays have one row per frame.

    Args:
        tilt: Of the cup, radians clockwise (before mirroring).
        cup: Area of liquid in the cup.
        glass: Area of liquid in the glass.
        age_low: Youngest part of the stream: seconds since it left the lip.
        age_high: Oldest part of the stream, likewise; equal to ``age_low`` without a stream.
        flux: Area leaving the cup per second.
        rises: Whether the stream falls upwards.
        recoloured: Whether the liquid has taken the violation's second colour.
    """

    tilt: NDArray[np.float64]
    cup: NDArray[np.float64]
    glass: NDArray[np.float64]
    age_low: NDArray[np.float64]
    age_high: NDArray[np.float64]
    flux: float
    rises: bool
    recoloured: NDArray[np.bool_]

    @property
    def stream(self) -> NDArray[np.float64]:
        """Area of liquid in the air, one per frame."""
        return (self.age_high - self.age_low) * self.flux


def fallen(age: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """How far below the lip liquid is, ``age`` seconds after leaving it."""
    since = np.asarray(age, dtype=np.float64)
    return EXIT_SPEED * since + GRAVITY * since**2 / 2


def fall_time(drop: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Seconds to fall so far below the lip; the inverse of :func:`fallen`."""
    far = np.maximum(np.asarray(drop, dtype=np.float64), 0.0)
    return (np.sqrt(EXIT_SPEED**2 + 2 * GRAVITY * far) - EXIT_SPEED) / GRAVITY


def pour_track(
    pour: Pour, times: NDArray[np.float64], violation: Violation | None
) -> tuple[PourTrack, float | None]:
    """The pour at the given times, and when its violation begins (``None`` if lawful)."""
    kind = violation.id if violation else ""
    moved = pour.area * (1.0 - _LEFT_IN_CUP)
    flux = moved / (pour.end - pour.start)
    landing = pour.start + float(fall_time(pour.lip_y - GLASS_BOTTOM))
    onset: float | None = None
    clock = times
    if violation:
        onset = landing
    if violation and kind == "freezes":
        onset = pour.start + violation.how["hang"] * (landing - pour.start)
        clock = np.minimum(times, onset)
    poured = flux * np.clip(clock - pour.start, 0.0, pour.end - pour.start)
    age_low = np.maximum(clock - pour.end, 0.0)
    age_high = np.maximum(clock - pour.start, 0.0)
    glass = np.zeros_like(clock)
    recoloured = np.zeros(len(clock), dtype=bool)
    if violation and kind in ("falls_upward", "passes_through"):
        onset = pour.start if kind == "falls_upward" else landing
        reach = float(fall_time(pour.lip_y - _FAR_BELOW))
    else:
        glass = _arrived(pour, clock, flux)
        reach = np.inf
        surface = GLASS_BOTTOM + glass / pour.glass_width
        age_high = np.minimum(age_high, fall_time(pour.lip_y - surface))
    if violation and kind.startswith("liquid"):
        glass = glass * violation.how["keep"]
        age_high = np.maximum(clock - pour.start, 0.0)
        surface = GLASS_BOTTOM + glass / pour.glass_width
        age_high = np.minimum(age_high, fall_time(pour.lip_y - surface))
    if violation and kind == "morphs":
        onset = violation.onset
        recoloured = clock >= onset
    age_high = np.minimum(age_high, reach)
    age_low = np.minimum(age_low, age_high)
    cup = pour.area - poured
    track = PourTrack(
        tilt=_tilt(pour, cup, clock),
        cup=cup,
        glass=glass,
        age_low=age_low,
        age_high=age_high,
        flux=flux,
        rises=kind == "falls_upward",
        recoloured=recoloured,
    )
    return track, onset


def _arrived(pour: Pour, clock: NDArray[np.float64], flux: float) -> NDArray[np.float64]:
    """Area in the glass: what left long enough ago to have fallen to the surface it makes."""
    arrived = np.zeros_like(clock)
    for _ in range(30):
        surface = GLASS_BOTTOM + arrived / pour.glass_width
        left = clock - fall_time(pour.lip_y - surface) - pour.start
        arrived = flux * np.clip(left, 0.0, pour.end - pour.start)
    return arrived


def _tilt(pour: Pour, cup: NDArray[np.float64], clock: NDArray[np.float64]) -> NDArray[np.float64]:
    """The angle at which a cup holding so much is full to the lip; before that, on its way there.

    A rectangle w x h tipped by t about its lip holds ``w*h - w**2*tan(t)/2`` while its floor is
    covered and ``h**2 / (2*tan(t))`` after.
    """
    width, height = pour.cup_width, pour.cup_height
    covered = cup >= width * height / 2
    tangent = np.where(
        covered, 2 * (width * height - cup) / width**2, height**2 / (2 * np.maximum(cup, 1e-9))
    )
    begin = math.atan(2 * (width * height - pour.area) / width**2)
    before = begin * np.clip(clock / pour.start, 0.0, 1.0)
    return np.where(clock < pour.start, before, np.arctan(tangent))


def cup_liquid(pour: Pour, area: float, tilt: float) -> list[tuple[float, float]]:
    """Corners of the liquid in the cup, in the cup's own frame with the lip at the origin.

    The cup reaches from (-w, -h) to (0, 0) and opens upwards; counter-clockwise.
    """
    width, height = pour.cup_width, pour.cup_height
    slope = math.tan(tilt)
    if area <= 0:
        return []
    middle = area / width - height
    right, left = middle + slope * width / 2, middle - slope * width / 2
    if left >= -height:
        return [(-width, -height), (0.0, -height), (0.0, right), (-width, left)]
    # The floor is partly dry: a triangle of the same area in the lower right corner.
    depth = math.sqrt(2 * area * slope)
    return [(-depth / slope, -height), (0.0, -height), (0.0, depth - height)]


def submerged_area(thing: Thing, y: float, level: float) -> tuple[float, float]:
    """Area of an upright thing below the water's surface, and its whole area, in units**2."""
    if thing.look.shape == "ball":
        radius = thing.width / 2
        depth = max(-radius, min(radius, level - y))
        angle = math.acos(-depth / radius)
        return radius**2 * (angle - math.sin(2 * angle) / 2), math.pi * radius**2
    whole = thing.width * thing.height
    share = max(0.0, min(1.0, (level - (y - thing.height / 2)) / thing.height))
    return share * whole, whole
