"""Digests for the fingerprints of plugins: a name that plugins import."""

from phybench.machine.digest import code_digest, source_digest

__all__ = ["code_digest", "source_digest"]
