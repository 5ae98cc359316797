"""`neuralrouting demo`: real prompts through a gateway of its own, and what each answer cost and saved."""

import signal
from types import FrameType

from rich.console import Console

from neuralrouting.config import Config
from neuralrouting.demo.ask import Asker
from neuralrouting.demo.child import Child, running_gateway
from neuralrouting.demo.howto import how_to_try
from neuralrouting.demo.outcome import Failed, Outcome
from neuralrouting.demo.prompts import PROMPTS
from neuralrouting.demo.report import progress_line, table, totals
from neuralrouting.errors import NeuralRoutingError

_PLAIN_WIDTH = 140
"""Columns where the output is no terminal: nothing is cut there."""


def run(config: Config, *, once: bool) -> None:
    """Start a gateway on embedded defaults, send the prompts, print the table and, unless `once`, serve on.

    The gateway has a data directory of its own, `demo` below the configured one, made anew each time. Raises
    ConfigError when it cannot start, and NeuralRoutingError after the table when a prompt got no answer.
    """
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=_PLAIN_WIDTH)
    before = signal.signal(signal.SIGTERM, _end)
    try:
        with running_gateway(config, console.print) as child:
            failed = _ask_all(console, child)
            if failed:
                raise NeuralRoutingError(f"{failed} of {len(PROMPTS)} prompts got no answer; see {child.log}")
            if not once:
                console.print(how_to_try(child), soft_wrap=True)
                child.wait()
    except KeyboardInterrupt:
        console.print("stopped")
    finally:
        signal.signal(signal.SIGTERM, before)


def _ask_all(console: Console, child: Child) -> int:
    """Send every prompt, print what came of each and the table; return how many failed."""
    asker = Asker(child.url, child.api_key)
    console.print("waiting for the first answer of a real model" if asker.has_local else "no local model installed")
    asker.warm_up()
    outcomes: list[Outcome] = []
    failures: list[Failed] = []
    for number, prompt in enumerate(PROMPTS, 1):
        result = asker.ask(prompt)
        console.print(progress_line(number, len(PROMPTS), prompt, result))
        failures.append(result) if isinstance(result, Failed) else outcomes.append(result)
    console.print(table(outcomes))
    for line in totals(outcomes):
        console.print(line)
    return len(failures)


def _end(_number: int, _frame: FrameType | None) -> None:
    """Leave through the `with` blocks, so that the gateway is stopped too."""
    raise KeyboardInterrupt
