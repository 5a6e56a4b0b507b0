"""How diffusers' text-to-video pipelines differ in the way they are called.

Read in the signatures and bodies of diffusers 0.42.1 and measured with small random weights: the
frame argument has three names, frames are conditioned on a frame rate by some only, and not every
pipeline can take two prompts at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

TextRule = Literal["plain", "clean", "strip", "lower", "hunyuan", "hunyuan15", "sana", "cosmos2.5"]
CacheRule = Literal["none", "fastercache", "firstblock"]


@dataclass(frozen=True, slots=True)
class PipelineTraits:
    """What is particular about one pipeline class.

    Args:
        frames_argument: Name of the call's argument for the number of frames.
        fps_argument: Name of its argument for the frame rate; empty if the model is not told.
        budget_argument: Name of its argument for the prompt budget; empty if it has none.
        text: How it prepares and counts a prompt.
        batch: Whether several prompts in one call give the clips of single calls.
        guider: Whether guidance is set on a guider object instead of in the call.
        guarded: Whether it asks a guardrail, which may refuse a prompt or a clip.
        needs: Packages that it needs at run time beyond those of the extra.
        cache: Which cache the profile ``fast`` puts on its transformer.
        pinned: Arguments that would otherwise depend on what is installed.
        library_texts: Arguments whose default is an instruction that belongs to the model; they
            are read from the installed library, whose version is part of the fingerprint.
    """

    frames_argument: str = "num_frames"
    fps_argument: str = ""
    budget_argument: str = "max_sequence_length"
    text: TextRule = "plain"
    batch: bool = True
    guider: bool = False
    guarded: bool = False
    needs: tuple[str, ...] = ()
    cache: CacheRule = "none"
    pinned: tuple[tuple[str, Any], ...] = ()
    library_texts: tuple[str, ...] = ()


_WAN = PipelineTraits(text="clean", needs=("ftfy",), cache="firstblock")
_LTX = PipelineTraits(fps_argument="frame_rate", cache="firstblock")
_CLIP = PipelineTraits(budget_argument="")
_GUARDRAIL = ("torchvision", "cosmos_guardrail")
# One prompt at a time: a refused one ends the call, and its neighbours would go with it.
_COSMOS = PipelineTraits(batch=False, guarded=True, needs=_GUARDRAIL)

TRAITS: Mapping[str, PipelineTraits] = {
    "CogVideoXPipeline": PipelineTraits(cache="fastercache"),
    "WanPipeline": _WAN,
    "LTXPipeline": _LTX,
    "LTXConditionPipeline": _LTX,
    "LTX2Pipeline": PipelineTraits(
        fps_argument="frame_rate", text="strip", pinned=(("enable_prompt_enhancement", False),)
    ),
    "HunyuanVideoPipeline": PipelineTraits(
        text="hunyuan", cache="firstblock", library_texts=("prompt_template",)
    ),
    "HunyuanVideo15Pipeline": PipelineTraits(
        budget_argument="", text="hunyuan15", batch=False, guider=True
    ),
    "MochiPipeline": PipelineTraits(cache="firstblock"),
    "AllegroPipeline": PipelineTraits(
        text="lower", batch=False, pinned=(("clean_caption", False),)
    ),
    "SanaVideoPipeline": PipelineTraits(
        frames_argument="frames",
        text="sana",
        pinned=(("clean_caption", False), ("use_resolution_binning", False)),
        library_texts=("complex_human_instruction",),
    ),
    "CosmosTextToWorldPipeline": replace(_COSMOS, fps_argument="fps"),
    "Cosmos2_5_PredictBasePipeline": replace(_COSMOS, text="cosmos2.5"),
    "TextToVideoSDPipeline": _CLIP,
    "AnimateDiffPipeline": _CLIP,
}
"""The pipelines that presets use and tests exercise; others cannot be named."""


def library_texts(card_pipeline: str) -> dict[str, Any]:
    """The instructions that the installed library gives a pipeline's prompts; loads no weights."""
    names = TRAITS[card_pipeline].library_texts
    if not names:
        return {}
    import diffusers

    parameters = inspect.signature(getattr(diffusers, card_pipeline).__call__).parameters
    return {name: parameters[name].default for name in names}
