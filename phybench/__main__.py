"""``python -m phybench``."""

from phybench.cli.main import main

main()
