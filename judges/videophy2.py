"""VideoPhy2-AutoEval: the benchmark's own judge of SA, PC and physical rules.

A port of ``videophysics/videophy_2_auto`` (mPLUG-Owl-Video 7B) to a current stack. Prompts and the
reading of replies follow the published inference; what differs is that an unreadable reply is a
failure unless ``reading=faithful`` asks for the published numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from phybench.machine.devices import Device, Dtype, resolve_device, resolve_dtype
from phybench.plugins.contracts import LIKERT, Failure, JudgeRequest, PluginInfo, Scale, Score

from .mplug_owl.files import Published, find_files
from .mplug_owl.settings import Quantize, Settings, default_batch
from .ratings import rating_text as readings
from .ratings.rating_replies import RatingReader, RatingReply, Reading, judged

if TYPE_CHECKING:
    from torch import Tensor

    from .mplug_owl.engine import Loaded, OwlEngine

PUBLISHED = Published(
    "videophysics/videophy_2_auto",
    14.3,
    "MIT as stated for the checkpoint; its language model derives from LLaMA-1 7B, whose weights "
    "carried a non-commercial research licence",
)
ORIGINAL = Scale(0, 5, 4)
"""What the published reader can give: 0 stands for an unreadable reply."""
_FAITHFUL_TOKENS = 255
"""What the published script's ``max_length=256`` amounts to under its transformers 4.28.1."""
_STRICT_TOKENS = 16
"""A readable answer has three tokens; one that goes on is unreadable anyway."""
_HEAD = (
    "The following is a conversation between a curious human and an AI assistant. The assistant "
    "gives helpful, detailed, and polite answers to the user's questions.\nHuman: <|video|>\n"
)
_SA = (
    'Human: Does this video match the description: "{caption}"? Please rate the video on a scale '
    "from 1 to 5, where 5 indicates a perfect match and 1 indicates no relevance.\nAI: "
)
_PC = (
    "Human: Does this video adhere to the physical laws? Rate the video on a scale from 1 to 5, "
    "where 5 means full compliance and 1 means significant violations.\nAI: "
)
_RULE = (
    'Human: Does the video follow the physical rule: "{rule}"?\n'
    "Choose 0 if not, 1 if valid, or 2 if indeterminate. \nAI: "
)


class VideoPhy2:
    """Scores SA and PC 1..5 and each rule 0/1/2, all from one look at the clip.

    Args:
        model: Folder or hub id of the checkpoint; never downloaded here.
        reading: How replies become numbers. ``strict``: a reply must be a rating and nothing
            else, otherwise the clip failed (a rule: not judged). ``faithful``: the published
            script's reader, for reproducing its numbers; replies that it misreads are listed in
            the score's details. ``expected``: the mean under the model's probabilities of the
            legal answers, a smoother reward; rules take the likeliest answer.
        max_new_tokens: Longest reply; by default 255 for ``faithful``, as published, else 16.
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
        reading: Reading = "strict",
        max_new_tokens: Annotated[int, Field(ge=1, le=1024)] | None = None,
        device: Device = "auto",
        dtype: Dtype = "auto",
        quantisation: Quantize = "none",
        compiled: bool = False,
        batch: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        place = resolve_device(device)
        self.settings = Settings(
            files=find_files(model, PUBLISHED),
            device=place,
            dtype=resolve_dtype(dtype, place),
            quantize=quantisation,
            compiled=compiled,
            batch=batch or default_batch(place),
        )
        self.settings.check("videophy2")
        self._reading: Reading = reading
        default = _FAITHFUL_TOKENS if reading == "faithful" else _STRICT_TOKENS
        self._max_new_tokens = max_new_tokens or default
        self._engine: OwlEngine | None = None
        self.info = self._describe()

    def _describe(self) -> PluginInfo:
        return PluginInfo(
            name="videophy2",
            revision=self.settings.files.revision,
            licence=PUBLISHED.licence,
            fingerprint={
                **self.settings.fingerprint(),
                "reading": self._reading,
                "reader": readings.VERSION,
                "max_new_tokens": self._max_new_tokens,
                "prompts": [_HEAD, _SA, _PC, _RULE],
            },
            # Several forward passes a call, so that decoding overlaps with them.
            max_batch=4 * self.settings.batch,
            scale=ORIGINAL if self._reading == "faithful" else LIKERT,
            extra="local",
            gpu_gib=self.settings.gpu_gib,
        )

    def score(self, requests: Sequence[JudgeRequest]) -> Sequence[Score | Failure]:
        """Score clips; rules of a request are asked in the same pass.

        Failure kinds: ``no-video``, ``decode``, ``length`` (prompt longer than the model was
        trained to read; not in ``faithful`` reading, as in the original),
        ``memory``, ``parse`` (SA or PC unreadable).
        """
        from .mplug_owl.engine import OwlEngine, load_owl

        if self._engine is None:
            self._engine = OwlEngine(load_owl(self.settings), self.settings.batch)
        return self._engine.score(requests, self._answer)

    def reread(self, reply: str) -> Score | Failure:
        """Read a recorded reply again (see :class:`phybench.plugins.abilities.RereadsReplies`)."""
        return RatingReader(self._reading).reread(reply)

    @staticmethod
    def rereader(*, reading: Reading = "strict", **_: object) -> RatingReader:
        """What reads this judge's replies; of its options only ``reading`` matters for that."""
        return RatingReader(reading)

    def _answer(
        self, loaded: Loaded, media: Tensor, requests: Sequence[JudgeRequest]
    ) -> Sequence[Score | Failure]:
        prompts = [
            [loaded.tokenizer.encode_turns_whole(text) for text in prompts_of(request)]
            for request in requests
        ]
        room = loaded.model.config.text_config.max_position_embeddings - self._max_new_tokens - 1
        # The original has no limit: its rotary table grows with the text.
        fits = [self._reading == "faithful" or max(map(len, asked)) <= room for asked in prompts]
        kept = [index for index, fit in enumerate(fits) if fit]
        replies = iter(self._replies(loaded, media[kept], [prompts[index] for index in kept]))
        return [
            judged(next(replies), self._reading) if fit else _too_long(asked, room)
            for fit, asked in zip(fits, prompts, strict=True)
        ]

    def _replies(
        self, loaded: Loaded, media: Tensor, prompts: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[RatingReply]]:
        if not prompts:
            return []
        choices = {answer: loaded.tokenizer.answer_ids(answer) for answer in "012345"}
        asked = loaded.dialogue.ask(media, prompts)
        likely = [
            loaded.dialogue.probabilities(asked, row, choices) for row in range(len(asked.now))
        ]
        written = loaded.dialogue.write(asked, self._max_new_tokens)
        replies = (
            RatingReply(loaded.tokenizer.decode(reply.ids), reply.finished, begins)
            for reply, begins in zip(written, likely, strict=True)
        )
        return [[next(replies) for _ in clip] for clip in prompts]


def prompts_of(request: JudgeRequest) -> list[str]:
    """SA, PC and the rules, in this order; all begin alike."""
    questions = [_SA.replace("{caption}", request.prompt), _PC]
    questions += [_RULE.replace("{rule}", rule) for rule in request.rules]
    return [_HEAD + question for question in questions]


def _too_long(prompts: Sequence[Sequence[int]], room: int) -> Failure:
    return Failure(
        "length",
        f"Expected at most {room} tokens in a question, but got {max(map(len, prompts))}. "
        "Shorten the prompt or the rule.",
    )
