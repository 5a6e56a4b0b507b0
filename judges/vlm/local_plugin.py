"""Any vision-language model that transformers knows as judge, in this process."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from phybench.errors import ConfigError, MissingExtraError
from phybench.machine.devices import Device, Dtype, device_kind, resolve_device, resolve_dtype
from phybench.machine.model_folders import find_model
from phybench.plugins.contracts import LIKERT, Failure, JudgeRequest, PluginInfo, Score

from .questions import (
    Choice,
    question_fingerprint,
    questioning,
    recorded_replies,
)
from .scoring import Combine, Questioning, RecordedReplies, score_by_questions

if TYPE_CHECKING:
    from .transformers_answers import LocalAnswers

_SAMPLING = frozenset({"temperature", "top_p", "top_k", "min_p", "repetition_penalty"})
_WORKING_GIB = 4.0
"""Activations of some thousand image tokens, rounded up."""


class VlmLocal:
    """Asks a vision-language model without a server; clips travel as images.

    It has the templates of :class:`phybench.judges.vlm.plugin.Vlm`, without enforced schemas:
    replies are read by the same readers and fail where those cannot read them.

    Args:
        model: Folder, or hub id of a checkpoint that was downloaded before.
        revision: Branch, tag or commit of the hub id.
        name: Name in tables; empty for the model's name.
        licence: Licence of the weights.
        template: ``rubric``, a yaml file, or (in preset files) the template itself.
        wording: Text file with the question, for templates that leave it open.
        asks: Names of the template's questions to ask, by default all.
        frames: Sampled frames; ``None`` for the template's.
        size: Longest side of sampled frames; ``None`` for the template's.
        temperature: Replaces the template's.
        max_tokens: Longest reply; ``None`` for the template's.
        samples: Replies per question.
        combine: ``vote`` (most frequent, the lower on a tie) or ``mean``.
        seed: Seed of the first sample.
        device: ``auto`` is a CUDA GPU if there is one.
        dtype: ``auto`` is bfloat16 on a GPU and float32 on a CPU.

    Raises:
        ConfigError: If the model is not on this machine or options do not fit.
        MissingExtraError: If the extra ``local`` is not installed.
    """

    def __init__(
        self,
        *,
        model: str,
        revision: str = "",
        name: str = "",
        licence: str = "the model's own",
        template: str | dict[str, Any] = "rubric",
        wording: str = "",
        asks: list[str] | None = None,
        frames: Annotated[int, Field(ge=1, le=768)] | None = None,
        size: Annotated[int, Field(ge=16, le=4096)] | None = None,
        temperature: Annotated[float, Field(ge=0, le=2)] | None = None,
        max_tokens: Annotated[int, Field(ge=1)] | None = None,
        samples: Annotated[int, Field(ge=1, le=64)] = 1,
        combine: Combine = "vote",
        seed: Annotated[int, Field(ge=0)] = 0,
        device: Device = "auto",
        dtype: Dtype = "auto",
    ) -> None:
        for module in ("torch", "transformers"):
            if find_spec(module) is None:
                raise MissingExtraError("judge `vlm-local`", module, "local")
        choice = Choice(
            template=template,
            wording=wording,
            asks=asks,
            media="images",
            frames=frames,
            size=size,
            temperature=temperature,
            max_tokens=max_tokens,
        )
        self._how = _local_questioning(choice, samples, combine, seed)
        self._found = find_model(model, revision)
        self._device = resolve_device(device)
        self._dtype = resolve_dtype(dtype, self._device)
        self._answers: LocalAnswers | None = None
        self.info = self._describe(name, licence)

    def _describe(self, name: str, licence: str) -> PluginInfo:
        files = self._found.path.glob("*.safetensors")
        size_gib = sum(path.stat().st_size for path in files) / 2**30
        return PluginInfo(
            name=name or self._found.name,
            revision=self._found.revision,
            licence=licence,
            fingerprint={
                "revision": self._found.revision,
                "device": device_kind(self._device),
                "dtype": self._dtype,
                "libraries": {name: version(name) for name in ("torch", "transformers")},
                **question_fingerprint(self._how),
            },
            max_batch=8,
            scale=LIKERT,
            extra="local",
            gpu_gib=0.0 if self._device == "cpu" else round(size_gib + _WORKING_GIB, 1),
        )

    def score(self, requests: Sequence[JudgeRequest]) -> Sequence[Score | Failure]:
        """Score clips; rules are asked where the template has a wording for them."""
        from .transformers_answers import LocalAnswers

        if self._answers is None:
            self._answers = LocalAnswers(self._found.path, device=self._device, dtype=self._dtype)
        return score_by_questions(requests, self._how, self._answers)

    def reread(self, reply: str) -> Score | Failure:
        """Read a recorded reply again (see :class:`phybench.plugins.abilities.RereadsReplies`)."""
        return RecordedReplies(self._how).reread(reply)

    @staticmethod
    def rereader(**options: Any) -> RecordedReplies:
        """What reads the replies of a judge with these options."""
        return recorded_replies(options)


def _local_questioning(choice: Choice, samples: int, combine: Combine, seed: int) -> Questioning:
    how = questioning(
        choice,
        limit_field="max_tokens",
        structured=False,
        samples=samples,
        combine=combine,
        seed=seed,
    )
    if unknown := set(how.sampling) - _SAMPLING:
        raise ConfigError(
            f"Expected a template with sampling among {', '.join(sorted(_SAMPLING))} in process, "
            f"but got {', '.join(sorted(unknown))}. Serve the model and use judge `vlm` instead."
        )
    return how
