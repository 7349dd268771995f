"""`python -m kompakt` is the command `kompakt`."""

from .cli import main

main()
