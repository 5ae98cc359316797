"""`neuralrouting completion`: what a shell needs to complete our commands and options."""

import click

from neuralrouting.cli.options import json_option
from neuralrouting.cli.show import print_json

# `\b` is click's mark for lines that it must not wrap.
# ruff: noqa: D301, PLC0415

_PROGRAM = "neuralrouting"
_VARIABLE = "_NEURALROUTING_COMPLETE"
_INSTALL = {
    "bash": (
        "mkdir -p ~/.local/share/bash-completion/completions",
        "neuralrouting completion bash > ~/.local/share/bash-completion/completions/neuralrouting",
    ),
    "zsh": (
        "mkdir -p ~/.zfunc && neuralrouting completion zsh > ~/.zfunc/_neuralrouting",
        "# and once, in ~/.zshrc before compinit: fpath+=~/.zfunc",
    ),
    "fish": ("neuralrouting completion fish > ~/.config/fish/completions/neuralrouting.fish",),
}
SHELLS = tuple(_INSTALL)


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@json_option
@click.pass_context
def completion(context: click.Context, shell: str, *, as_json: bool) -> None:
    """Print the completion script of a shell; how it is installed stands at its end.

    \b
      neuralrouting completion bash > ~/.local/share/bash-completion/completions/neuralrouting
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  click knows the three
    script = kind(context.find_root().command, {}, _PROGRAM, _VARIABLE).source()
    steps = _INSTALL[shell]
    if as_json:
        print_json({"shell": shell, "script": script, "install": list(steps)})
        return
    # At the end: zsh reads what a file is for from its first line.
    click.echo(script.rstrip())
    click.echo("\n# To install:")
    for step in steps:
        click.echo(f"#   {step.removeprefix('# ')}")
