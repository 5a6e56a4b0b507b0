"""Local and hosted language models behind refiners."""
