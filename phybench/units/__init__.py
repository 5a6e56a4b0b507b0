"""One unit of work: its key, how it is done, how it is written, where it is kept."""
