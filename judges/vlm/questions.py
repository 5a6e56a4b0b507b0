"""A template with the user's options applied: what a vision-language judge will ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from phybench.errors import ConfigError
from phybench.video import chat_parts as clip_parts
from phybench.video.chat_parts import Media, MediaForm

from ..ratings import rating_text as readings
from . import replies as vlm_replies
from .scoring import Combine, Questioning, RecordedReplies
from .template import Ask, QuestionTemplate, load_template


@dataclass(frozen=True, slots=True)
class Choice:
    """The options that concern the template; see :class:`phybench.judges.vlm.plugin.Vlm`."""

    template: str | Mapping[str, Any] = "rubric"
    wording: str = ""
    asks: list[str] | None = None
    media: MediaForm | Literal[""] = ""
    frames: int | None = None
    size: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    extra: Mapping[str, Any] | None = None


def questioning(
    choice: Choice,
    *,
    limit_field: str,
    structured: bool,
    samples: int,
    combine: Combine,
    seed: int | None,
) -> Questioning:
    """Apply options to a template.

    Raises:
        ConfigError: If a name is unknown, or something that the template leaves open is not given.
    """
    template = _with_asks(load_template(choice.template), choice)
    if choice.max_tokens is not None:
        template = template.model_copy(update={"max_tokens": choice.max_tokens})
    sampling = dict(template.sampling)
    if choice.temperature is not None:
        sampling["temperature"] = choice.temperature
    for field, value in (choice.extra or {}).items():
        if value is None:
            sampling.pop(field, None)
        else:
            sampling[field] = value
    if samples > 1 and sampling.get("temperature") == 0:
        raise ConfigError(
            f"Expected a `temperature` above 0 with `samples={samples}`: at 0 all replies are one."
        )
    return Questioning(
        template=template,
        media=_media(template, choice),
        sampling=sampling,
        limit_field=limit_field,
        samples=samples,
        combine=combine,
        seed=seed,
        structured=structured,
    )


def recorded_replies(options: Mapping[str, Any]) -> RecordedReplies:
    """What reads the replies that a judge with these options has recorded.

    Args:
        options: The constructor's; those of model, server and device do not matter for that.

    Raises:
        ConfigError: As :func:`questioning`.
    """
    names = {field.name for field in fields(Choice)}
    chosen = {name: value for name, value in options.items() if name in names}
    how = questioning(
        # No clip travels, so a template that leaves that open is complete.
        Choice(**{**chosen, "media": "images"}),
        limit_field="max_tokens",
        structured=False,
        samples=options.get("samples", 1),
        combine=options.get("combine", "vote"),
        seed=None,
    )
    return RecordedReplies(how)


def question_fingerprint(how: Questioning) -> dict[str, Any]:
    """What of the questions and their reading can change a score."""
    return {
        "template": how.template.model_dump(mode="json", by_alias=True),
        "media": how.media.model_dump(mode="json"),
        "sampling": dict(how.sampling),
        "samples": how.samples,
        "combine": how.combine,
        "seed": how.seed,
        "structured": how.structured,
        "readers": [readings.VERSION, vlm_replies.VERSION, clip_parts.VERSION],
    }


def _with_asks(template: QuestionTemplate, choice: Choice) -> QuestionTemplate:
    names = [ask.name for ask in template.asks]
    wanted = names if choice.asks is None else choice.asks
    if unknown := [name for name in wanted if name not in names]:
        raise ConfigError(
            f"Expected `asks` to be among {', '.join(names)}; but got {', '.join(unknown)}."
        )
    asks = [_worded(ask, choice.wording) for ask in template.asks if ask.name in wanted]
    if not {"sa", "pc"} <= {field for ask in asks for field in ask.fields}:
        raise ConfigError("Expected `asks` to keep a question for SA and one for PC.")
    return template.model_copy(update={"asks": tuple(asks)})


def _worded(ask: Ask, wording: str) -> Ask:
    if ask.text and not wording:
        return ask
    if ask.text:
        raise ConfigError("Expected no `wording`: this template has its own.")
    if not wording:
        raise ConfigError(
            "Expected `wording` to name a text file with the judge's question ({prompt} stands "
            "for the user's prompt): its published wording is not known to us. Take it from the "
            "model's card."
        )
    try:
        text = Path(wording).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read `wording` {wording!r}: {error}.") from error
    if "{prompt}" not in text:
        raise ConfigError(f"Expected {wording!r} to contain {{prompt}}, but it does not.")
    return ask.model_copy(update={"text": text})


def _media(template: QuestionTemplate, choice: Choice) -> Media:
    if template.media is None and not choice.media:
        raise ConfigError(
            "Expected `media` to be images, frames or video: this template leaves open how the "
            "model wants its clips. Take it from the model's card."
        )
    given = template.media.model_dump() if template.media else {}
    changes = {"form": choice.media, "frames": choice.frames, "size": choice.size}
    return Media.model_validate({**given, **{name: new for name, new in changes.items() if new}})
