"""From tracks to motions, and which of them break a law."""
