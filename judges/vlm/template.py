"""What a vision-language judge is asked: a template, as data, so that a new judge is a yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from phybench.errors import ConfigError
from phybench.video.chat_parts import Media

Target = Literal["sa", "pc", "assessable", "law", "reason", "rules"]
_BUNDLED = Path(__file__).parent


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ask(_Strict):
    """One question about a clip.

    Args:
        name: Names it in results.
        text: The question; ``{prompt}`` and the names of ``variables`` in braces are replaced,
            all other braces stay.
        rules_text: Appended when the request has rules; ``{rules}`` becomes a numbered list.
        variables: Further texts to fill in.
        read: How the reply is read (see :mod:`phybench.judges.vlm.replies`).
        fields: What the reply's fields (or the pattern's groups) mean.
        pattern: Regular expression with named groups, for ``read: pattern``.
        schema: JSON schema of the reply, enforced by servers that can.
        max_tokens: Longest reply; ``None`` for the template's.
    """

    name: str
    text: str
    rules_text: str = ""
    variables: Mapping[str, str] = {}
    read: Literal["json", "pattern", "line", "tag"]
    fields: Mapping[Target, str]
    pattern: str = ""
    schema_: Mapping[str, Any] | None = Field(default=None, alias="schema")
    max_tokens: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _readable(self) -> Ask:
        if self.read == "pattern":
            groups = set(re.compile(self.pattern).groupindex)
            if absent := set(self.fields.values()) - groups:
                raise ValueError(f"the pattern has no group {sorted(absent)}")
        if self.read in {"line", "tag"} and set(self.fields) not in ({"sa"}, {"pc"}):
            raise ValueError(f"read {self.read} gives one number: fields must be sa or pc")
        if not set(self.fields) & {"sa", "pc"}:
            raise ValueError("fields must name sa or pc")
        return self

    def wording(self, prompt: str, rules: tuple[str, ...]) -> str:
        """The question for one clip. Inserted texts are never filled in again."""
        text = self.text + (self.rules_text if rules else "")
        numbered = "\n".join(f"{number}. {rule}" for number, rule in enumerate(rules, 1))
        values = {**self.variables, "prompt": prompt, "rules": numbered}
        return re.sub(
            r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), text, flags=re.ASCII
        )


class QuestionTemplate(_Strict):
    """A judge's questions and how to put them.

    Args:
        system: System message; empty for none.
        media: How the clip travels.
        asks: The questions; SA is the mean over those that give it, PC likewise.
        sampling: Fields of the request's body: temperature, top_p and what the server offers.
        max_tokens: Longest reply.
    """

    system: str = ""
    media: Media | None = None
    asks: tuple[Ask, ...] = Field(min_length=1)
    sampling: Mapping[str, Any] = {}
    max_tokens: int = Field(default=1024, ge=1)

    @model_validator(mode="after")
    def _complete(self) -> QuestionTemplate:
        given = {field for ask in self.asks for field in ask.fields}
        if not {"sa", "pc"} <= given:
            raise ValueError("the asks must give both sa and pc")
        if len({ask.name for ask in self.asks}) < len(self.asks):
            raise ValueError("two asks have the same name")
        return self


def load_template(template: str | Mapping[str, Any]) -> QuestionTemplate:
    """A template from a bundled name, a yaml file or a preset's inline mapping.

    Raises:
        ConfigError: If there is none or it is not complete.
    """
    if isinstance(template, str):
        source, content = f"template {template!r}", _read(template)
    else:
        source, content = "the inline template", template
    try:
        return QuestionTemplate.model_validate(content)
    except (ValidationError, re.error) as error:
        raise ConfigError(f"Expected {source} to be complete, but {_problem(error)}.") from error


def _read(template: str) -> Any:
    import yaml

    bundled = _BUNDLED / f"{template}.yaml"
    path = bundled if bundled.is_file() else Path(template).expanduser()
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in _BUNDLED.glob("*.yaml")))
        raise ConfigError(
            f"Expected `template` to be a yaml file or one of: {known}; but got {template!r}."
        )
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"Cannot read template {template!r}: {error}.") from error


def _problem(error: ValidationError | re.error) -> str:
    if isinstance(error, re.error):
        return f"a pattern is no regular expression: {error}"
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
