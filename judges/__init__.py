"""Judges: plugins that score a clip for semantic adherence and physical commonsense."""
