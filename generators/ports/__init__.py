"""Generators whose original code is not on a registry, written again here."""
