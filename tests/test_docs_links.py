"""What the documents point to is there."""

from __future__ import annotations

import re

import pytest
from tools.places import ROOT

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "results/*.md", "results/*/*.md")
    for path in ROOT.glob(pattern)
    if "runs" not in path.parts
)
FOLDERS = "phybench|refiners|generators|judges|tests|docs|benchmarks"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_of_a_page_exist(page) -> None:
    text = page.read_text("utf-8")
    links = [
        page.parent / target
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
        if not re.match(r"\w+:", target)
    ]
    paths = [ROOT / path for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", text)]
    missing = [str(path) for path in (*links, *paths) if not path.exists()]
    assert not missing
