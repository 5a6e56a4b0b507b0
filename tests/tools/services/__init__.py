"""Fake services that speak the real wire formats."""
