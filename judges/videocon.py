"""VideoCon-Physics: VideoPhy-1's judge, which answers yes or no with a probability.

A port of ``videophysics/videocon_physics`` (mPLUG-Owl-Video 7B). Its score is the probability of
"Yes" against "No" right after the question; nothing is generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from phybench.machine.devices import Device, Dtype, resolve_device, resolve_dtype
from phybench.plugins.contracts import PROBABILITY, Failure, JudgeRequest, PluginInfo, Score

from .mplug_owl.files import Published, find_files
from .mplug_owl.settings import Quantize, Settings, default_batch

if TYPE_CHECKING:
    from torch import Tensor

    from .mplug_owl.engine import Loaded, OwlEngine
    from .mplug_owl.tokens import Cut

PUBLISHED = Published(
    "videophysics/videocon_physics",
    14.3,
    "MIT as stated for VideoPhy; its language model derives from LLaMA-1 7B, whose weights "
    "carried a non-commercial research licence",
)
# "human and AI assistant", without "an", is the wording that this judge was trained with.
_HEAD = (
    "The following is a conversation between a curious human and AI assistant. The assistant "
    "gives helpful, detailed, and polite answers to the user's questions.\nHuman: <|video|>\n"
)
_SA = 'Human: Does this video entail the description: "{caption}"?\nAI: '
_PC = "Human: Does this video follow the physical laws?\nAI: "


class VideoCon:
    """Gives SA and PC as probabilities.

    Args:
        model: Folder or hub id of the checkpoint; never downloaded here.
        reading: ``strict``: a prompt that does not fit into the limit fails, because the model
            would not see its question. ``faithful``: such prompts are cut, as in the original,
            and the softmax is taken in the model's type, whose grid then shows (0.4 % in
            bfloat16).
        limit: Most ids of a prompt with its video; 257 as published.
        device: ``auto`` is a CUDA GPU if there is one.
        dtype: ``auto`` is bfloat16 (as published) on a GPU and float32 on a CPU.
        quantisation: ``8bit`` or ``4bit`` for the language model, by bitsandbytes.
        compiled: Use ``torch.compile`` on the vision side; pays off for thousands of clips.
        batch: Clips per forward pass, halved when memory runs out; by default 4 on a GPU and 1 on
            a CPU, where a batch gains nothing. With 1 a result is the same to the last bit
            whatever else is judged, with more it is the same to rounding.

    Raises:
        ConfigError: If files of the checkpoint are missing, with their size and licence.
    """

    def __init__(
        self,
        *,
        model: str = PUBLISHED.repo,
        reading: Literal["strict", "faithful"] = "strict",
        limit: Annotated[int, Field(ge=128, le=2048)] = 257,
        device: Device = "auto",
        dtype: Dtype = "auto",
        quantisation: Quantize = "none",
        compiled: bool = False,
        batch: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        place = resolve_device(device)
        self._settings = Settings(
            files=find_files(model, PUBLISHED),
            device=place,
            dtype=resolve_dtype(dtype, place),
            quantize=quantisation,
            compiled=compiled,
            batch=batch or default_batch(place),
        )
        self._settings.check("videocon")
        self._reading = reading
        self._limit = limit
        self._engine: OwlEngine | None = None
        self.info = self._describe()

    def _describe(self) -> PluginInfo:
        return PluginInfo(
            name="videocon",
            revision=self._settings.files.revision,
            licence=PUBLISHED.licence,
            fingerprint={
                **self._settings.fingerprint(),
                "reading": self._reading,
                "limit": self._limit,
                "prompts": [_HEAD, _SA, _PC],
            },
            max_batch=4 * self._settings.batch,
            scale=PROBABILITY,
            extra="local",
            gpu_gib=self._settings.gpu_gib,
        )

    def score(self, requests: Sequence[JudgeRequest]) -> Sequence[Score | Failure]:
        """Score clips. Rules of a request are not asked: the judge was not trained on them.

        Failure kinds: ``no-video``, ``decode``, ``length`` (prompt beyond the limit), ``memory``.
        """
        from .mplug_owl.engine import OwlEngine, load_owl

        if self._engine is None:
            self._engine = OwlEngine(load_owl(self._settings), self._settings.batch)
        return self._engine.score(requests, self._answer)

    def _answer(
        self, loaded: Loaded, media: Tensor, requests: Sequence[JudgeRequest]
    ) -> Sequence[Score | Failure]:
        prompts = [self._prompts(loaded, request) for request in requests]
        kept = [index for index, cuts in enumerate(prompts) if self._usable(loaded, cuts)]
        asked = [[cut.ids for cut in prompts[index]] for index in kept]
        yes = self._yes(loaded, media[kept], asked) if kept else {}
        answers = dict(zip(kept, yes, strict=True))
        return [
            self._scored(answers[index], cuts) if index in answers else self._too_long()
            for index, cuts in enumerate(prompts)
        ]

    def _prompts(self, loaded: Loaded, request: JudgeRequest) -> list[Cut]:
        questions = (_SA.replace("{caption}", request.prompt), _PC)
        return [
            loaded.tokenizer.encode_turns_split(_HEAD + question, self._limit)
            for question in questions
        ]

    def _usable(self, loaded: Loaded, cuts: Sequence[Cut]) -> bool:
        from .mplug_owl.tokens import MEDIA

        places = loaded.model.config.media_tokens
        whole_video = all(cut.ids.count(MEDIA) == places and cut.ids[-1] != MEDIA for cut in cuts)
        return whole_video and (self._reading == "faithful" or not any(cut.cut for cut in cuts))

    def _yes(
        self, loaded: Loaded, media: Tensor, prompts: Sequence[Sequence[Sequence[int]]]
    ) -> list[tuple[dict[str, float], ...]]:
        """Probabilities of "Yes" and "No" for SA and PC of each clip."""
        scores = loaded.dialogue.ask(media, prompts).now
        if self._reading == "faithful":
            scores = scores.to(media.dtype)
        likely = scores.softmax(-1).float()
        columns = [loaded.tokenizer.first_id(word) for word in ("Yes", "No")]
        rows = [{"Yes": yes, "No": no} for yes, no in likely[:, columns].tolist()]
        return list(zip(rows[::2], rows[1::2], strict=True))

    def _scored(self, likely: Sequence[dict[str, float]], cuts: Sequence[Cut]) -> Score | Failure:
        details: dict[str, Any] = {
            name: {"probabilities": answers, "cut": cut.cut}
            for name, answers, cut in zip(("sa", "pc"), likely, cuts, strict=True)
        }
        masses = [answers["Yes"] + answers["No"] for answers in likely]
        if min(masses) <= 0:
            return Failure("parse", f"The judge gives neither Yes nor No any chance: {details}.")
        sa, pc = (answers["Yes"] / mass for answers, mass in zip(likely, masses, strict=True))
        return Score(sa, pc, details={"reading": self._reading, **details})

    def _too_long(self) -> Failure:
        return Failure(
            "length",
            f"Expected at most {self._limit} tokens with the video, but the prompt has more. "
            "Shorten it, or give `reading=faithful` to cut it as the original does.",
        )
