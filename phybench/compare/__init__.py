"""Arms against a baseline, item by item: what changed, how sure that is, and in plain words."""
