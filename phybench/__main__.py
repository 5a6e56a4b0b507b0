"""``python -m phybench``."""

from phybench.cli import main

main()
