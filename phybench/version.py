"""The version of phybench."""

__version__ = "0.1.0"
