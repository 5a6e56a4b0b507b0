"""What goes into a report's page, as JSON values."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from phybench.errors import ConfigError, StorageError
from phybench.runs.cells import Run
from phybench.runs.items import JudgedItem, broken_laws, read_items

Clips = Literal["beside", "embed", "none"]
CLIP_FOLDER = "report_clips"
_LONGEST_REPLY = 4_000
_MEDIA = {".mp4": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime"}


def browsable(run: Run, clips: Clips, target: Path) -> dict[str, Any]:
    """The data that the page's script shows: arms, judges and prompts with their items.

    Args:
        run: The run.
        clips: ``beside`` links files into a folder next to the page, ``embed`` puts them into the
            page, ``none`` leaves them out.
        target: The page's path.

    Raises:
        StorageError: If a clip cannot be put beside the page.
    """
    items = read_items(run.folder)
    plugins = run.header["plugins"]
    arms = [
        [refiner["name"], generator["name"]]
        for refiner in plugins["refiner"]
        for generator in plugins["generator"]
    ]
    places = {tuple(arm): number for number, arm in enumerate(arms)}
    groups: Mapping[str, Sequence[str]] = run.header["prompts"].get("groups", {})
    labels = {
        prompt_id: [values[number] for values in groups.values()]
        for number, prompt_id in enumerate(run.header["prompts"]["ids"])
    }
    prompts: dict[str, dict[str, Any]] = {}
    files: dict[str, str] = {}
    for item in items:
        prompt = prompts.setdefault(
            item.prompt_id,
            {
                "id": item.prompt_id,
                "text": item.prompt,
                "groups": labels[item.prompt_id],
                "items": [],
            },
        )
        clip = _clip_url(item, clips, target, files)
        prompt["items"].append(_row(item, places[item.refiner, item.generator], clip))
    return {
        "arms": arms,
        "groups": list(groups),
        "judges": [
            {"name": each["name"], "bar": each["scale"]["success"]} for each in plugins["judge"]
        ],
        "prompts": list(prompts.values()),
    }


def _row(item: JudgedItem, arm: int, clip: str) -> dict[str, Any]:
    """One item; keys are short because there may be ten thousand."""
    row: dict[str, Any] = {
        "a": arm,
        "k": item.k,
        "s": {judge: _score(score) for judge, score in item.scores.items()},
    }
    if item.refinement is not None:
        row["r"] = item.refinement["text"]
        if item.refinement["reasoning"]:
            row["t"] = item.refinement["reasoning"]
    if clip:
        row["c"] = clip
    if item.error is not None:
        row["e"] = f"{item.error['stage']} ({item.error['kind']}): {item.error['message']}"
    laws = _laws(item)
    if laws:
        row["l"] = laws
    return row


def _score(score: Mapping[str, Any]) -> list[Any]:
    if score["status"] == "failed":
        error = score["error"]
        return ["failed", None, None, f"{error['kind']}: {error['message']}"[:_LONGEST_REPLY]]
    reply = score.get("reply") or score.get("details", {}).get("reason", "")
    return [score["status"], score["sa"], score["pc"], str(reply)[:_LONGEST_REPLY]]


def _laws(item: JudgedItem) -> list[str]:
    """Laws that a judge or the ground truth says are broken."""
    found = {law for score in item.scores.values() for law in broken_laws(score)}
    truth = (item.clip or {"meta": {}})["meta"].get("truth") or {}
    return sorted(found | ({str(truth["law"])} if truth.get("law") else set()))


def _clip_url(item: JudgedItem, clips: Clips, target: Path, files: dict[str, str]) -> str:
    """Where the page finds the clip; empty if it is left out or gone."""
    if item.clip is None or clips == "none" or not item.clip["path"]:
        return ""
    sha, path = item.clip["sha256"], Path(item.clip["path"])
    if sha not in files:
        suffix = path.suffix.lower()
        known = suffix in _MEDIA and path.is_file()
        files[sha] = _put(path, sha, suffix, clips, target) if known else ""
    return files[sha]


def _put(path: Path, sha: str, suffix: str, clips: Clips, target: Path) -> str:
    try:
        if clips == "embed":
            data = base64.b64encode(path.read_bytes()).decode("ascii")
            return f"data:{_MEDIA[suffix]};base64,{data}"
        folder = target.parent / CLIP_FOLDER
        folder.mkdir(exist_ok=True)
        place = folder / f"{sha}{suffix}"
        if not place.exists():
            _link(path, place)
    except OSError as error:
        raise StorageError(f"Cannot put clips beside {str(target)!r}: {error}.") from error
    return f"{CLIP_FOLDER}/{sha}{suffix}"


def _link(path: Path, place: Path) -> None:
    try:
        os.link(path, place)
    except OSError:
        # Another file system, or one without hard links.
        shutil.copyfile(path, place)


def comparisons(run: Run, baseline: str) -> tuple[Sequence[Mapping[str, Any]], str]:
    """Rows and sentences of the comparison with a baseline, or the reason why there is none."""
    from phybench.compare.differences import compare_pairs
    from phybench.compare.pairing import pair_runs
    from phybench.compare.sentences import difference_row, sentence

    try:
        pairing = pair_runs([run], baseline)
    except ConfigError as error:
        return [], str(error)
    found = compare_pairs(pairing.pairs)
    return [{**difference_row(each), "sentence": sentence(each)} for each in found], ""


def plot_images(folder: Path) -> list[tuple[str, str]]:
    """The run's plots as (name, data url)."""
    return [
        (
            path.stem.replace("-", " ").replace("_", " "),
            f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}",
        )
        for path in sorted((folder / "plots").glob("*.png"))
    ]
