"""The command line, `managedagents`."""

from managedagents.cli._main import main

__all__ = ["main"]
