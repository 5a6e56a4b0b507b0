"""Makes the helpers in this folder importable from tests in sub-folders."""
