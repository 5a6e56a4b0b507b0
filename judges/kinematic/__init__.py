"""Measurements of things that move before a still background, from pixels alone."""
