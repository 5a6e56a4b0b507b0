"""Scenes and what happens in them, lawful or not."""
