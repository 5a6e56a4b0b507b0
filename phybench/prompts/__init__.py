"""Texts: prompt sets, tables, seeds and length budgets."""
