"""One offline HTML page per run: numbers on top, every prompt with its clips side by side below."""
