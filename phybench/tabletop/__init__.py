"""The embedded simulated world: coloured shapes and liquids on a table."""
