"""Floor 8: the command line."""

from .app import main as main
