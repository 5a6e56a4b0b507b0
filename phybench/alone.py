"""Plugins that are called one after another, by no executor."""

from __future__ import annotations
