"""`python -m neuralrouting.cli` is `neuralrouting`."""

from neuralrouting.cli.commands import main

main(prog_name="neuralrouting")
