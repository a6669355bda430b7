"""``python -m labelnoise``."""

from labelnoise.cli import main

main()
