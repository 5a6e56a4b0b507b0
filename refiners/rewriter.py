"""A refiner as a function, under its public name: :mod:`phybench.refiners.serving.rewriter`."""

from .serving.rewriter import load_rewriter

__all__ = ["load_rewriter"]
