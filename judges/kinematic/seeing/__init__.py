"""From pixels to things that are followed through the frames."""
