"""Generators behind hosted services that are paid by the clip."""
