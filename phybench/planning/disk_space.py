"""Disk that a run needs, and whether it is there, before any work."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from phybench.errors import ConfigError
from phybench.planning.plan import Item, Plan
from phybench.plugins.contracts import (
    Clip,
    ClipRequest,
    Failure,
    PluginInfo,
    Refinement,
    VideoSettings,
)
from phybench.units.cache import Cache
from phybench.units.keys import clip_key, fingerprint, refinement_key
from phybench.video.common_view import View

_BYTES_PER_PIXEL = 0.2
"""Size of our H.264 files per decoded pixel, at most: below 0.05 for tabletop clips, 0.03 to 0.18
for ten of VideoPhy-2's published clips, encoded again."""
_BYTES_PER_ROW = 1024
"""Size of a row in the run's files, and again in the cache; without long replies it is less."""


def clip_bytes(generator: PluginInfo, settings: VideoSettings, view: View | None = None) -> float:
    """Upper estimate of one new clip, with its view if there is one.

    Args:
        generator: What makes the clip.
        settings: The wishes for it; what they leave open is the generator's native format.
        view: How judges see it.

    Returns:
        Bytes; 0 where neither settings nor generator say what is made.
    """
    native = generator.video
    frames, width, height = (
        getattr(settings, name) or getattr(native, name, None) or 0
        for name in ("frames", "width", "height")
    )
    fps = settings.fps or (native.fps if native else None) or 0.0
    pixels = frames * width * height
    if view is not None:
        pixels += _view_pixels(view, frames, fps, width, height)
    return pixels * _BYTES_PER_PIXEL


def _view_pixels(view: View, frames: int, fps: float, width: int, height: int) -> int:
    native_seconds = frames / fps if frames and fps else math.inf
    seconds = min(view.seconds or math.inf, native_seconds)
    shown = 0 if math.isinf(seconds) else math.ceil(seconds * (view.fps or fps))
    return shown * (view.width or width) * (view.height or height)


def check_disk(plan: Plan, cache: Cache, folder: Path) -> None:
    """Refuse a run whose new clips and rows will not fit.

    Cached clips are looked up only if the whole run, made anew, would not fit.

    Raises:
        ConfigError: If the disk of the cache or of the run folder has too little room.
    """
    rows = plan.size * (1 + len(plan.judges)) * _BYTES_PER_ROW
    room = _existing(folder)
    if _free(room) < rows:
        raise ConfigError(_too_little("the run's rows", rows, room, "Name another folder with -o."))
    shared = room.stat().st_dev == cache.folder.stat().st_dev
    free = _free(cache.folder) - rows * (1 + shared)
    sizes = [clip_bytes(one.info, plan.settings, plan.view) for one in plan.generators]
    if free >= plan.size * max(sizes):
        return
    needed = 0.0
    for item in plan.items():
        needed += 0.0 if _is_kept(plan, cache, item) else sizes[item.generator]
        if needed > free:
            most = plan.size * max(sizes) + rows * (1 + shared)
            hint = "Name another cache folder with --cache, or do less with --limit and --seeds."
            raise ConfigError(_too_little("new clips", most, cache.folder, hint))


def _is_kept(plan: Plan, cache: Cache, item: Item) -> bool:
    """Whether an item's clip is in the cache already."""
    refiner, generator = plan.refiners[item.refiner], plan.generators[item.generator]
    text = item.prompt.text
    made = cache.get(refinement_key(fingerprint(refiner), refiner.info, text, item.seed))
    if made is None and refiner.info.free:
        found = refiner.plugin.refine([text], [item.seed])[0]
        made = None if isinstance(found, Failure) else found
    if not isinstance(made, Refinement):
        return False
    request = ClipRequest(made.text, item.seed, item.k, plan.settings)
    return isinstance(cache.get(clip_key(fingerprint(generator), request)), Clip)


def _existing(folder: Path) -> Path:
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _too_little(what: str, needed: float, folder: Path, hint: str) -> str:
    return (
        f"Expected room for up to {_size(needed)} of {what} in {str(folder)!r}, but its disk has "
        f"{_size(_free(folder))} free. {hint}"
    )


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.2f} MiB"
