"""What a routing decision costs, and the document that is kept of it: `python -m benches.routing`.

25 models, of which layer 3 knows something each. CPU time of one thread. The bars hold for the native crossing of a
1 KB prompt that nobody asked before, with and without shield and semantic cache, for the decision of layer 4 alone,
and for writing the document down.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import click
import msgspec

from neuralrouting.accounts.orders import NO_ORDERS, AccountOrders
from neuralrouting.catalog import VIRTUAL_MODELS, Capabilities, Deployment
from neuralrouting.config import RoutingConfig
from neuralrouting.engine import Engine, Predictor, Shield
from neuralrouting.exchange import Arrival, Caller, Hints, Lookup, Odds, Task
from neuralrouting.layers.classification import task_of
from neuralrouting.layers.routing import Ask, Router, Stay, Wish
from neuralrouting.pipeline.choosing import Choosing
from neuralrouting.pipeline.deciding import Deciding
from neuralrouting.pipeline.turn import Turn
from neuralrouting.providers.speeds import Speeds

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from counting_house import UNLIMITED
from models_made_up import catalog_of, deployment

INSPECT_BAR_US, INSPECT_ALL_BAR_US = 50.0, 150.0
CHOOSE_BAR_US = 60.0
ENCODE_BAR_US = 20.0
ROUNDS, CALLS = 30, 300
TIERS = ("economy", "economy", "fast", "medium", "premium")
POOL = [
    deployment(f"m{n}", TIERS[n % 5], 0.1 * (n + 1), can=Capabilities() if n % 7 == 6 else Capabilities(tools=True))
    for n in range(25)
]
BODY = msgspec.json.encode(
    {
        "model": "auto",
        "messages": [{"role": "user", "content": "Which of these two plans is cheaper over a year, and why? " * 18}],
        "tools": [{"type": "function", "function": {"name": "look_up"}}],
    }
)
PROMPT = msgspec.json.encode(
    {"model": "auto", "messages": [{"role": "user", "content": "Why does bread rise and then fall in the oven? " * 22}]}
)


class Known:
    """Layer 3 that knows something of each model; making the odds up is not what is measured, so they are made once."""

    def __init__(self) -> None:
        bases = (("proven", True), ("refused", False), ("unproven", None))
        self._odds = {d.id: Odds(d.id, bases[n % 3][1], bases[n % 3][0], -0.03, -0.06, 0.0, 812)
                      for n, d in enumerate(POOL)}  # fmt: skip

    def odds(
        self, _account_id: str, _task: Task, _predicted: Mapping[str, float], candidates: Sequence[Deployment]
    ) -> tuple[Odds, ...]:
        """Return what is known of these."""
        return tuple(self._odds[d.id] for d in candidates)

    def predictor(self, _account_id: str) -> Predictor | None:
        """Return that the shipped heads predict."""
        return None


class Unordered:
    """Nobody orders anything."""

    def of(self, _account_id: str) -> AccountOrders:
        """Return that nothing is ordered."""
        return NO_ORDERS


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Print microseconds of each step, the median of the rounds. Exit code 1 when one takes longer than its bar."""
    catalog, known, speeds = catalog_of(POOL), Known(), Speeds()
    choosing = Choosing(RoutingConfig(), catalog, speeds, Unordered(), known)
    deciding = Deciding(catalog)
    arrival = Arrival("req", Caller("acme", "key", live=True), UNLIMITED, Hints("/v1/chat/completions"), 0, 0)
    turn = Turn(arrival, Engine().inspect(BODY, "acme"), stream=False)
    task = turn.task = task_of(turn.inspection.classified())
    router, ask = Router(catalog, VIRTUAL_MODELS), Ask("auto", "auto", 300, has_tools=True)
    wish = Wish(cascade=True, stay=Stay(POOL[4].id, "auto", 2_000, 200))
    route, missed = choosing.route(turn, task), Lookup("miss")
    decision = deciding.decision(turn, missed, route)
    encode = msgspec.json.Encoder().encode
    engine, shield = Engine(), Shield()
    steps: list[tuple[str, Callable[[], object], float | None]] = [
        ("native: classify and predict", lambda: engine.inspect(PROMPT, "acme"), INSPECT_BAR_US),
        ("native: all layers",
         lambda: engine.inspect(PROMPT, "acme", shield=shield, semantic=True), INSPECT_ALL_BAR_US),
        ("auto, nothing known", lambda: router.choose(ask, speeds, 0.0), CHOOSE_BAR_US),
        ("auto, all known, in a conversation",
         lambda: router.choose(ask, speeds, 0.0, lambda pool: known.odds("", task, {}, pool), wish), CHOOSE_BAR_US),
        ("mode, rules, odds, route", lambda: choosing.route(turn, task), None),
        ("document: make it", lambda: deciding.decision(turn, missed, route), None),
        ("document: encode it", lambda: encode(decision), ENCODE_BAR_US),
    ]  # fmt: skip
    click.echo(f"{len(POOL)} models, a document of {len(encode(decision)):,} bytes; microseconds")
    late = False
    for name, step, bar in steps:
        took_us = _measured(step)
        late |= bar is not None and took_us > bar
        click.echo(f"{name:40}{took_us:8.1f}{f'{bar:8.0f}' if bar is not None else ''}")
    sys.exit(late)


def _measured(step: Callable[[], object]) -> float:
    rounds: list[float] = []
    for _ in range(ROUNDS):
        begun_ns = time.thread_time_ns()
        for _ in range(CALLS):
            step()
        rounds.append((time.thread_time_ns() - begun_ns) / CALLS / 1_000)
    return median(rounds)


if __name__ == "__main__":
    main()
