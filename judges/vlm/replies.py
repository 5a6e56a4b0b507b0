"""Reading a vision-language judge's reply: every form is documented, nothing is guessed.

* ``json``: the one JSON object in the reply, whatever stands around it. Two different objects, a
  truncated one, other text in braces, a key given twice or NaN are unreadable.
* ``pattern``: the last match of the template's expression.
* ``line``: the one line that is a rating and nothing else.
* ``tag``: the rating in the one ``<answer>`` element.

Reasoning before ``</think>`` is set aside first. Ratings are whole numbers on the scale, as
numbers or in the forms of :func:`phybench.judges.ratings.rating_text.read_rating`; ``3.5`` and
``between 3 and 4`` are unreadable.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..ratings.rating_text import read_rating
from .template import Ask

VERSION = "1"
_LOW, _HIGH = 1, 5
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one reply says.

    Args:
        sa: SA, if the question asks for it.
        pc: PC, likewise.
        assessable: False if the judge says that it cannot tell.
        law: The law that it sees broken.
        reason: Its reason.
        rules: Its verdict per rule: 0, 1, 2, or ``None`` where it gives none that is legal.
    """

    sa: int | None = None
    pc: int | None = None
    assessable: bool = True
    law: str = ""
    reason: str = ""
    rules: tuple[int | None, ...] = ()


class UnreadableError(Exception):
    """A reply that is not what was asked for; the message says why."""


def read_reply(text: str, ask: Ask, rules: int = 0) -> Judgement:
    """Read one reply.

    Args:
        text: The whole reply.
        ask: The question, which names form and fields.
        rules: How many rules were asked.

    Raises:
        UnreadableError: If it is not of the documented form.
    """
    answer = text.rpartition("</think>")[2]
    if ask.read in {"line", "tag"}:
        number = _from_line(answer) if ask.read == "line" else _from_tag(answer)
        return Judgement(sa=number) if "sa" in ask.fields else Judgement(pc=number)
    found = _from_pattern(answer, ask.pattern) if ask.read == "pattern" else _from_json(answer)
    return _judgement(found, ask, rules)


def _judgement(found: Mapping[str, Any], ask: Ask, rules: int) -> Judgement:
    fields = ask.fields
    assessable = _flag(found, fields["assessable"]) if "assessable" in fields else True
    numbers = {
        target: _rating(found, fields[target], needed=assessable)
        for target in ("sa", "pc")
        if target in fields
    }
    verdicts = _verdicts(found.get(fields["rules"]), rules) if "rules" in fields else ()
    return Judgement(
        sa=numbers.get("sa"),
        pc=numbers.get("pc"),
        assessable=assessable,
        law=_words(found.get(fields.get("law", ""))),
        reason=_words(found.get(fields.get("reason", ""))),
        rules=verdicts if rules else (),
    )


def _from_line(answer: str) -> int:
    ratings = [read_rating(line, _LOW, _HIGH) for line in answer.splitlines()]
    readable = [rating for rating in ratings if rating is not None]
    return int(_only(readable, "line with a rating alone"))


def _from_tag(answer: str) -> int:
    content = _only(_ANSWER.findall(answer), "<answer> element")
    rating = read_rating(content, _LOW, _HIGH)
    if rating is None:
        raise UnreadableError(
            f"Expected a rating from 1 to 5 in <answer>, but got {content!r:.80}."
        )
    return rating


def _from_pattern(answer: str, pattern: str) -> dict[str, str]:
    matches = list(re.finditer(pattern, answer, re.DOTALL | re.IGNORECASE))
    if not matches:
        raise UnreadableError("Expected the reply to end in the form that was asked for.")
    # The reasoning may quote the form, so only the last one counts.
    return matches[-1].groupdict()


def _from_json(answer: str) -> dict[str, Any]:
    decoder = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    objects, place = [], answer.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(answer, place)
        except (ValueError, RecursionError) as error:
            raise UnreadableError(f"Expected a whole JSON object, but: {error}.") from error
        objects.append(value)
        place = answer.find("{", end)
    distinct = [value for index, value in enumerate(objects) if value not in objects[:index]]
    return dict(_only(distinct, "JSON object"))


def _unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise UnreadableError("Expected each key of the JSON object once.")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise UnreadableError(f"Expected numbers in the JSON object, but got {name}.")


def _only(found: Sequence[Any], what: str) -> Any:
    if len(found) != 1:
        raise UnreadableError(f"Expected one {what} in the reply, but found {len(found)}.")
    return found[0]


def _rating(found: Mapping[str, Any], field: str, *, needed: bool) -> int | None:
    value = found.get(field)
    if value is None and not needed:
        return None
    rating = _whole(value, _LOW, _HIGH)
    if rating is None and needed:
        raise UnreadableError(
            f"Expected `{field}` to be a whole number from 1 to 5, but got {value!r:.80}."
        )
    return rating


def _whole(value: Any, low: int, high: int) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return read_rating(value, low, high)
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return int(value) if whole and low <= value <= high else None


def _flag(found: Mapping[str, Any], field: str) -> bool:
    value = found.get(field)
    if not isinstance(value, bool):
        raise UnreadableError(f"Expected `{field}` to be true or false, but got {value!r:.80}.")
    return value


def _words(value: Any) -> str:
    return value.strip()[:2000] if isinstance(value, str) else ""


def _verdicts(value: Any, count: int) -> tuple[int | None, ...]:
    if not isinstance(value, list) or len(value) != count:
        return (None,) * count
    return tuple(_whole(item, 0, 2) for item in value)
