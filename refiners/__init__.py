"""Refiners: plugins that rewrite a prompt before it reaches a generator."""
