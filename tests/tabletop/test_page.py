"""The page of the world says what the code does."""

from __future__ import annotations

import pytest
from tools.places import ROOT

from phybench.tabletop.drawing import pictures
from phybench.tabletop.texts import failure_law
from phybench.tabletop.world.families import FAMILIES
from phybench.tabletop.world.violations import breaches

DOCS = ROOT / "docs"
PAGE = (DOCS / "tabletop.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "table",
    [
        pictures.family_table,
        pictures.violation_table,
        pictures.law_table,
        pictures.outcome_table,
    ],
)
def test_the_tables_are_the_codes(table):
    assert table() in PAGE


def test_the_numbers_of_the_failure_law_are_the_codes():
    law = failure_law
    assert f"expected number of violations, {law.HAZARD:g}," in PAGE
    assert f"it excludes is multiplied by {law.STATED:g}:" in PAGE
    assert f"From {law.LONG_FROM} to {law.LONG_AT} words every lapse" in PAGE
    assert f"grows by up to {law.LONG_LAPSES:g}, and stated" in PAGE
    assert f"From {law.LATE_FROM} to {law.LATE_AT} words before" in PAGE
    assert f"empty table with probability {law.NOTHING:g}," in PAGE


def test_the_page_warns_that_the_model_is_simulated():
    assert "numbers say nothing about any real text-to-video model" in PAGE


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_its_picture(family):
    assert f"![{family}](tabletop/{family}.png)" in PAGE
    assert (DOCS / "tabletop" / f"{family}.png").stat().st_size < 125_000


def test_a_sheet_shows_the_lawful_clip_and_every_violation():
    labels, picture = pictures.sheet("pour")
    assert labels == ["lawful", *(row.violation for row in breaches("pour"))]
    assert picture.shape == (len(labels) * 66, 9 * 66, 3)


@pytest.mark.slow
def test_the_command_draws_every_family(tmp_path):
    pictures.write_pictures(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == set(FAMILIES)
