"""What it costs to ask which of an account's rules holds, and to read them: `python -m benches.rules`.

Fifty rules, none of which holds but the last or none at all, so that every one is asked; each with a task, a range, a
user, a time and keywords, of which the user decides, the time, or the words themselves in a prompt of 1 KB.
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median

import click

from neuralrouting.rules import RuleFacts, read_rules

BAR_US = 20.0
"""Microseconds that a request may take to find the rule that holds, of fifty."""
RULES, ROUNDS, AGAIN = 50, 200, 50
"""The median of the rounds counts, each of which asks so many times."""
PROMPT = "Summarise what our customers said of the delivery this week, please. " * 15
WHEN = {
    "the user decides": "task: [coding, qa], complexity: 4..8, user: 'team-{0}-*', keyword: 'word {0}'",
    "the range decides": "task: [coding, qa], complexity: 8..9, prompt_tokens: {0}.., tools: true",
    "the time decides": "task: [coding, qa], time: {{days: [mon], hours: '{1:02}:00-23:59', zone: Asia/Tokyo}}",
    "one word decides, of 10 rules": "task: {2}, keyword: 'word {0}'",
    "one word decides": "task: [coding, qa], keyword: 'word {0}'",
}
UNBOUND = ("one word decides",)
"""Told, not held to the bar: fifty searches of the whole prompt."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure microseconds for a look at fifty rules. Exit code 1 when one takes longer than the bar."""
    facts = RuleFacts(
        datetime(2026, 11, 27, 12, tzinfo=UTC),
        task="coding",
        complexity=5.0,
        user="anna",
        prompt_tokens=250,
        text=PROMPT,
    )
    click.echo(f"{'microseconds, 50 rules':32}{'look':>8}{'bar':>8}{'read':>10}")
    missed = False
    for name, when in WHEN.items():
        told = [when.format(n, n % 23, "coding" if n % 5 == 0 else "qa") for n in range(RULES)]
        text = "".join(f"- {{name: r{n}, when: {{{one}}}, then: {{mode: cost}}}}\n" for n, one in enumerate(told))
        rules = read_rules(text)
        assert rules.first(facts) is None
        look_us = _median_us(lambda rules=rules: rules.first(facts), AGAIN)
        read_us = _median_us(lambda text=text: read_rules(text), 1, rounds=5)
        bound = name not in UNBOUND
        click.echo(f"{name:32}{look_us:8.2f}{BAR_US if bound else float('inf'):8.1f}{read_us:10.0f}")
        missed |= bound and look_us > BAR_US
    sys.exit(missed)


def _median_us(run: Callable[[], object], again: int, rounds: int = ROUNDS) -> float:
    took: list[float] = []
    for _ in range(rounds):
        started_ns = time.perf_counter_ns()
        for _ in range(again):
            run()
        took.append((time.perf_counter_ns() - started_ns) / again / 1_000)
    return median(took)


if __name__ == "__main__":
    main()
