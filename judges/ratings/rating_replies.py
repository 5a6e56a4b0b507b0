"""From the replies to SA, PC and rules to one score, in each reading mode."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from phybench.plugins.contracts import Failure, Score

from .rating_text import first_key, read_rating

Reading = Literal["strict", "faithful", "expected"]
_RATINGS, _VERDICTS = (1, 5), (0, 2)


@dataclass(frozen=True, slots=True)
class RatingReply:
    """A reply to one question.

    Args:
        text: What the model wrote, unchanged.
        finished: Whether it ended the reply itself.
        begins: Probability that its reply begins with each digit; a digit that is not there has
            none.
    """

    text: str
    finished: bool = True
    begins: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Read:
    value: float | None
    strict: int | None
    details: dict[str, Any]


def judged(replies: Sequence[RatingReply], reading: Reading) -> Score | Failure:
    """The score of one clip.

    Args:
        replies: To SA, PC and each rule, in this order.
        reading: How replies become numbers (see :class:`phybench.judges.videophy2.VideoPhy2`).

    Returns:
        A score whose ``reply`` is a JSON object of all replies (see :class:`RatingReader`). Its
        details hold, for each question, the reply, whether it was finished, the probabilities of
        the legal answers (normalised) and their ``mass`` before that. ``misread`` lists the
        questions on which the published script's reader and the strict one differ. A failure of
        kind ``parse`` if SA or PC cannot be read; its reply holds the probabilities too.
    """
    raw = _raw(replies, probabilities=reading == "expected")
    sa, pc = (_read(reply, *_RATINGS, reading) for reply in replies[:2])
    rules = [_read(reply, *_VERDICTS, reading) for reply in replies[2:]]
    unreadable = [name for name, read in (("SA", sa), ("PC", pc)) if read.value is None]
    if unreadable:
        return Failure(
            "parse",
            f"Expected a rating from 1 to 5 and nothing else for {' and '.join(unreadable)}, but "
            f"the judge replied {raw[:300]}",
            reply=_raw(replies, probabilities=True),
        )
    details: dict[str, Any] = {
        "reading": reading,
        "sa": sa.details,
        "pc": pc.details,
        "rules": [rule.details for rule in rules],
    }
    if reading == "faithful":
        named = [("sa", sa), ("pc", pc), *((f"rule {n}", rule) for n, rule in enumerate(rules))]
        details["misread"] = [name for name, read in named if read.value != read.strict]
    return Score(sa.value, pc.value, reply=raw, rules=tuple(map(_verdict, rules)), details=details)


def _raw(replies: Sequence[RatingReply], *, probabilities: bool) -> str:
    texts = [reply.text for reply in replies]
    parts: dict[str, Any] = {"sa": texts[0], "pc": texts[1], "rules": texts[2:]}
    if unfinished := [place for place, reply in enumerate(replies) if not reply.finished]:
        parts["unfinished"] = unfinished
    if probabilities:
        parts["probabilities"] = [dict(reply.begins) for reply in replies]
    return json.dumps(parts, ensure_ascii=False)


class _Raw(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")
    sa: str
    pc: str
    rules: list[str]
    unfinished: list[int] = []
    probabilities: list[dict[str, Annotated[float, Field(ge=0, le=1.001)]]] = []


@dataclass(frozen=True, slots=True)
class RatingReader:
    """Reads what :func:`judged` recorded, again and without a model.

    Args:
        reading: How replies become numbers.
    """

    reading: Reading

    def reread(self, reply: str) -> Score | Failure:
        """Read a raw reply again.

        Args:
            reply: A JSON object with the texts ``sa``, ``pc`` and ``rules``; ``unfinished``, the
                places of replies that were cut (0 SA, 1 PC, 2 the first rule); and
                ``probabilities`` of the digits for each, where a number depends on them.
        """
        try:
            raw = _Raw.model_validate_json(reply)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]["msg"]
            return Failure("parse", f"Expected the recorded replies, but: {problem}.", reply=reply)
        texts = [raw.sa, raw.pc, *raw.rules]
        likely = raw.probabilities or [{} for _ in texts]
        if len(likely) != len(texts):
            message = f"Expected {len(texts)} `probabilities`, but got {len(likely)}."
            return Failure("parse", message, reply=reply)
        replies = [
            RatingReply(text, place not in raw.unfinished, begins)
            for place, (text, begins) in enumerate(zip(texts, likely, strict=True))
        ]
        return judged(replies, self.reading)


def _verdict(read: _Read) -> int | None:
    legal = read.value is not None and _VERDICTS[0] <= read.value <= _VERDICTS[1]
    return int(read.value) if legal and read.value is not None else None


def _read(reply: RatingReply, low: int, high: int, reading: Reading) -> _Read:
    masses = {str(value): reply.begins.get(str(value), 0.0) for value in range(low, high + 1)}
    mass = sum(masses.values())
    shares = {answer: share / mass for answer, share in masses.items()} if mass > 0 else {}
    strict = read_rating(reply.text, low, high) if reply.finished else None
    if reading == "faithful":
        value: float | None = first_key(reply.text)
    elif reading == "strict":
        value = strict
    else:
        value = _expected(shares, is_rating=high == _RATINGS[1])
    details = {
        "reply": reply.text,
        "finished": reply.finished,
        "probabilities": shares,
        "mass": mass,
        "value": value,
    }
    return _Read(None if value is None else float(value), strict, details)


def _expected(shares: Mapping[str, float], *, is_rating: bool) -> float | None:
    if not shares:
        return None
    if is_rating:
        return sum(int(answer) * share for answer, share in shares.items())
    return float(max(shares, key=lambda answer: shares[answer]))
