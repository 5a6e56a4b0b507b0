"""Generators: plugins that turn a text into a clip."""
