"""Doing a run, or judging a table of clips."""
