"""The command line; `main` is what `neuralrouting` runs."""

from neuralrouting.cli.commands import main

__all__ = ["main"]
