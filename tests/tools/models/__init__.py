"""Tiny models in the layouts of the real ones."""
