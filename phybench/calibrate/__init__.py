"""A judge against people: item-level agreement, ranking of generators, corrected rates."""
