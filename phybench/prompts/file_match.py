"""Which file or label a clip's name means, when tables and folders name it differently.

A name in a table is a path: the folders before the file's name are often the models. So the whole
path decides. The file's name alone decides only where nothing else can be meant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from phybench.prompts.tables import file_name


@dataclass(frozen=True, slots=True)
class NameMatches:
    """What names of clips mean.

    Args:
        found: Per name what it means, or ``None`` where nothing is meant beyond doubt.
        by_file_name: How many different names were matched by the file's name alone.
    """

    found: tuple[str | None, ...]
    by_file_name: int

    def remark(self, what: str) -> str:
        """One sentence on the matches by the file's name alone; empty if there are none.

        Args:
            what: What was looked for, in the plural (``clips``).
        """
        if not self.by_file_name:
            return ""
        return (
            f"{self.by_file_name} {what} were found by their file's name alone, not by the path "
            "in the table. Correct the paths if that is not what you mean."
        )


def match_names(names: Sequence[str], there: Iterable[str]) -> NameMatches:
    """Match the names in a table with what is there.

    A whole path comes first. The file's name alone counts only if no second name and no second
    thing that is there has it, and if one path ends with the other: ``modelA/1.mp4`` never means
    ``modelB/1.mp4``.

    Args:
        names: The names as the table gives them; equal names are one.
        there: Paths of the files, or keys of the labels, that can be meant.
    """
    keys = set(there)
    asked = Counter(map(file_name, set(names)))
    alone: dict[str, list[str]] = {}
    for key in keys:
        alone.setdefault(file_name(key), []).append(key)

    def meant(name: str) -> str | None:
        if name in keys:
            return name
        last = file_name(name)
        candidates = alone.get(last, [])
        unique = asked[last] == 1 and len(candidates) == 1
        return candidates[0] if unique and _one_ends_with(name, candidates[0]) else None

    found = {name: meant(name) for name in dict.fromkeys(names)}
    by_file_name = sum(key is not None and key != name for name, key in found.items())
    return NameMatches(tuple(found[name] for name in names), by_file_name)


def match_files(names: Sequence[str], folder: Path) -> NameMatches:
    """Match the names in a table with files: at their path below a folder, or directly in it.

    Args:
        names: The names as the table gives them.
        folder: What relative paths start from.

    Returns:
        Per name the file's path, relative to the folder as the name is.
    """
    paths = dict.fromkeys(part for name in names for part in (name, file_name(name)))
    return match_names(names, [path for path in paths if (folder / path).is_file()])


def _one_ends_with(first: str, second: str) -> bool:
    shorter, longer = sorted((f"/{first}", f"/{second}"), key=len)
    return longer.endswith(shorter)
