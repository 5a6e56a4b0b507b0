"""Tiny trainings, and programs that train."""
