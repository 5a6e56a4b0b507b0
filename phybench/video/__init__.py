"""Clips as files and as pixels."""
