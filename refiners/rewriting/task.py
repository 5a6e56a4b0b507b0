"""The task that language models are given: rewrite a prompt so that its video obeys physics.

One wording for every model, hosted or local, so that arms differ by model and not by luck of the
prompt. The wording is a versioned file; a change of meaning is a new file and a new name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from phybench.errors import ConfigError
from phybench.machine.digest import text_digest
from phybench.prompts.length_budget import TOKENS_PER_WORD, Shortening

Language = Literal["english", "any"]

DEFAULT_BUDGET = 226
"""Tokens that CogVideoX reads of a prompt (its README); LaVie and VideoCrafter2 read 77."""
_LANGUAGE = {
    "english": "Write in English, whatever the language of the text: video models read English.",
    "any": "Write in the language of the text.",
}


def texts_schema(*keys: str) -> dict[str, Any]:
    """JSON schema of an object with a text under each key, in the subset that all services know."""
    return {
        "type": "object",
        "properties": {key: {"type": "string"} for key in keys},
        "required": list(keys),
        "additionalProperties": False,
    }


REPLY_SCHEMA = texts_schema("reasoning", "prompt")
"""What a structured rewrite must look like."""


@dataclass(frozen=True, slots=True)
class RewritingTask:
    """A system prompt, ready to use, and how a user's prompt is put before the model.

    Args:
        name: The wording's name and version, or the user's own file.
        system_prompt: The text that the model receives.
        language: What the rewritten prompt shall be written in.
    """

    name: str
    system_prompt: str
    language: Language

    @property
    def digest(self) -> str:
        """Identifies the wording in fingerprints."""
        return text_digest(self.system_prompt)

    def messages(self, prompt: str, **material: str) -> list[dict[str, str]]:
        """The conversation for a prompt, with further material if there is any.

        All of it is quoted as JSON strings: whatever they hold, they cannot end the quotation and
        speak in their own right.
        """
        quoted = json.dumps({"text": prompt, **material}, ensure_ascii=False)
        return [
            {"role": "system", "content": self.system_prompt},
            {"role": "user", "content": quoted},
        ]

    def shorter(self, asked: Shortening) -> RewritingTask:
        """The task of writing a text again that was too long for the generator."""
        return replace(self, system_prompt=f"{self.system_prompt}\n\n{asked.request}")


def rewriting_task(
    instructions: str = "physics-v1",
    *,
    budget: int = DEFAULT_BUDGET,
    language: Language = "english",
) -> RewritingTask:
    """Load a wording and fill in length and language.

    Args:
        instructions: Name of a bundled wording, or the path of a text file. ``{words}`` and
            ``{language}`` in it are replaced, where they occur.
        budget: Tokens that the generator reads of a prompt.
        language: ``english``, or ``any`` for the language of the prompt.

    Raises:
        ConfigError: If there is no such wording.
    """
    text = read_wording(instructions)
    words = max(1, int(budget / TOKENS_PER_WORD))
    filled = text.replace("{words}", str(words)).replace("{language}", _LANGUAGE[language])
    return RewritingTask(Path(instructions).stem, filled, language)


def read_wording(instructions: str) -> str:
    """The text of a bundled wording or of the user's own file.

    Raises:
        ConfigError: If there is no such wording or file, or it is empty.
    """
    bundled = files("phybench.refiners") / "system_prompts"
    own = Path(instructions).expanduser()
    known = sorted(entry.name.removesuffix(".md") for entry in bundled.iterdir())
    try:
        source = bundled / f"{instructions}.md" if instructions in known else own
        text = source.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"Expected `instructions` to be one of {', '.join(known)} or a text file, "
            f"but got {instructions!r}: {error}."
        ) from error
    if not text:
        raise ConfigError(f"Expected {instructions!r} to hold instructions, but it is empty.")
    return text
