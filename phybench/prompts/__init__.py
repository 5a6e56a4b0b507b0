"""Texts: prompt sets, tables, seeds and length budgets."""

from phybench.prompts.prompt_sets import (
    MAX_CHARACTERS,
    TEXT_COLUMNS,
    PromptSet,
    bundled_sets,
    check_text,
    group_columns,
    load_prompts,
    read_rows,
)

__all__ = [
    "MAX_CHARACTERS",
    "TEXT_COLUMNS",
    "PromptSet",
    "bundled_sets",
    "check_text",
    "group_columns",
    "load_prompts",
    "read_rows",
]
