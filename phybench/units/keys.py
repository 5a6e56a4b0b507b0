"""Content hashes: equal keys stand for equal work, which is done once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phybench.machine.digest import canonical_json, text_digest, value_digest
from phybench.plugins.contracts import (
    ClipRequest,
    JudgeRequest,
    PluginInfo,
    VideoSettings,
)
from phybench.plugins.opened import Opened
from phybench.prompts.length_budget import Shortening
from phybench.video.common_view import VIEWER, View
from phybench.video.video_file import ENCODER

if TYPE_CHECKING:
    from phybench.plugins.opened import Opened

from typing import TYPE_CHECKING

from phybench.plugins.contracts import Clip
from phybench.plugins.opened import Opened

if TYPE_CHECKING:
    pass


def view_key(fingerprint: str, clip: Clip) -> str:
    """Content hash of a clip's view: equal clips share one, wherever they are from."""
    return text_digest("view", fingerprint, clip.sha256)


def shortening_key(fingerprint: str, info: PluginInfo, asked: Shortening, seed: int) -> str:
    """Content hash of a shorter text; the seed counts only where it can change the text."""
    return text_digest(
        "shortening",
        fingerprint,
        asked.prompt,
        asked.text,
        asked.request,
        str(seed) if info.seeded else "",
    )


def fingerprint(opened: Opened) -> str:
    """Digest of what a plugin's output depends on; its label is no part of it."""
    return value_digest(
        {"kind": opened.kind, "plugin": opened.spec.name, "of": dict(opened.info.fingerprint)}
    )


def instrument(judge: Opened, view: View | None) -> str:
    """Digest of what a judge's scores depend on beside clip and prompt: itself, and its view.

    Scores of two views are scores of two instruments: they share no key and no table.
    """
    digest = fingerprint(judge)
    return digest if view is None else text_digest("instrument", digest, VIEWER, str(view))


def refinement_key(fingerprint: str, info: PluginInfo, prompt: str, seed: int) -> str:
    """Content hash of a refinement; the seed counts only where it can change the text."""
    return text_digest("refinement", fingerprint, prompt, str(seed) if info.seeded else "")


def clip_key(fingerprint: str, request: ClipRequest) -> str:
    """Content hash of a clip.

    The text stands for what the generator reads of it. Pipelines count, wrap and encode a text in
    more ways than one (several encoders, templates), so equal ids of one tokenizer would not prove
    equal input; two texts that are cut to the same ids are therefore made twice.
    """
    settings = (repr(getattr(request.settings, name)) for name in VideoSettings.__slots__)
    return text_digest(
        "clip", ENCODER, fingerprint, request.text, str(request.seed), str(request.k), *settings
    )


def score_key(fingerprint: str, request: JudgeRequest) -> str:
    """Content hash of a score; the clip's meta data count too, since ``oracle`` reads them."""
    clip = request.clip
    known = (clip.sha256, clip.source, canonical_json(dict(clip.meta)))
    return text_digest("score", fingerprint, *known, request.prompt, *request.rules)
