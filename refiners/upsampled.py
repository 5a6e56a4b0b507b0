"""VideoPhy-2's own upsampled captions as refinements: a baseline that needs no model.

The VideoPhy-2 authors had Mistral-NeMo-12B write a long caption for each of their prompts and
made their published videos from those (``upsampled_caption`` in ``prompt-upsampled-test.csv``, hub
data set ``videophysics/videophy2_upsampled_prompts``). The captions are 138 words on average, far
beyond what LaVie and VideoCrafter2 read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from phybench.errors import ConfigError
from phybench.machine.digest import file_digest
from phybench.plugins.contracts import Failure, PluginInfo, Refinement
from phybench.prompts.tables import column, read_table

_HEADING = re.compile(r"\A\s*#+(?:[^\n]*:)?[ \t]*\n")
_QUOTES = {"“": "”", '"': '"'}


class Upsampled:
    """Gives each VideoPhy-2 prompt its upsampled caption.

    Args:
        file: ``prompt-upsampled-test.csv``, or any table with ``caption`` and
            ``upsampled_caption``.
        clean: Take off what the upsampler left around some captions: a heading
            (``##### Long Caption:``), quotation marks around the whole, white space. Off, the
            captions are given as published.

    Raises:
        ConfigError: If the file cannot be read, lacks the columns, or has two captions for one
            prompt.
    """

    def __init__(self, *, file: Path, clean: bool = True) -> None:
        self._captions = _captions(file, clean=clean)
        self.info = PluginInfo(
            name="upsampled",
            revision=file_digest(file)[:8],
            licence="MIT (VideoPhy-2)",
            fingerprint={"file": file_digest(file), "clean": clean},
            max_batch=256,
            seeded=False,
            free=True,
        )

    def refine(
        self, prompts: Sequence[str], seeds: Sequence[int]
    ) -> Sequence[Refinement | Failure]:
        """Look each prompt up; a prompt that is not VideoPhy-2's is a ``missing`` failure."""
        return [self._refinement(prompt) for prompt in prompts]

    def _refinement(self, prompt: str) -> Refinement | Failure:
        caption = self._captions.get(_key(prompt))
        if caption is None:
            return Failure("missing", f"VideoPhy-2 has no upsampled caption of {prompt[:80]!r}.")
        return Refinement(text=caption)


def _captions(file: Path, *, clean: bool) -> dict[str, str]:
    rows = read_table(file)
    prompt = column(rows, ("caption",), file)
    long = column(rows, ("upsampled_caption",), file)
    found: dict[str, str] = {}
    for row in rows:
        # Some copies of the file have empty cells ("nan"); their prompts are missing, not empty.
        text = str(row[long] or "")
        if text.strip().lower() in {"", "nan"}:
            continue
        caption = cleaned(text) if clean else text
        if found.setdefault(_key(str(row[prompt])), caption) != caption:
            raise ConfigError(
                f"Expected one upsampled caption per prompt in {str(file)!r}, but "
                f"{str(row[prompt])[:60]!r} has two."
            )
    if not found:
        raise ConfigError(f"Expected upsampled captions in {str(file)!r}, but it holds none.")
    return found


def cleaned(caption: str) -> str:
    """A caption without heading, surrounding quotation marks and white space."""
    text = _HEADING.sub("", caption).strip()
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and text.count(text[-1]) <= 2:
        text = text[1:-1].strip()
    return text


def _key(prompt: str) -> str:
    return " ".join(prompt.split())
