"""The demo's output: one line per prompt, the table, and the totals, real and simulated money apart."""

from collections.abc import Sequence
from statistics import median

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from neuralrouting.demo.outcome import NANO, Failed, Outcome
from neuralrouting.demo.prompts import Prompt

_SHOWN_CHARS = 64
_SIMULATED = "yellow"


def progress_line(number: int, of: int, prompt: Prompt, result: Outcome | Failed) -> Text:
    """One line as soon as an answer is there."""
    head = Text(f"[{number:2}/{of}] {prompt.kind:20}")
    if isinstance(result, Failed):
        return head.append(f"FAILED {result.reason}", "bold red")
    style = _SIMULATED if result.simulated else ""
    return head.append(f"{result.latency_ms:7.0f} ms  ").append(_short(result.answer), style)


def table(outcomes: Sequence[Outcome]) -> Table:
    """All answers; simulated ones are coloured and named so. In a narrow terminal names wrap, figures never."""
    made = Table(title="Who answered, and what it cost", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("prompt", "model served"):
        made.add_column(name, overflow="fold")
    for name in ("provider", "cache"):
        made.add_column(name, no_wrap=True)
    for name in ("tokens", "cost $", "saved $", "saved", "ms"):
        made.add_column(name, justify="right", no_wrap=True)
    for outcome in outcomes:
        made.add_row(*(Text(cell) for cell in _cells(outcome)), style=_SIMULATED if outcome.simulated else "")
    return made


def totals(outcomes: Sequence[Outcome]) -> list[str]:
    """Sums; simulated money is told apart and never added to real money."""
    if not outcomes:
        return []
    real = [outcome for outcome in outcomes if not outcome.simulated]
    simulated = [outcome for outcome in outcomes if outcome.simulated]
    hits = sum(outcome.cache in ("exact", "semantic") for outcome in outcomes)
    overhead_ms = median(outcome.overhead_ms for outcome in outcomes)
    counts = f"{len(outcomes)} answers: {len(real)} real, {len(simulated)} simulated; {hits} from the cache"
    lines = [
        f"{counts}; the gateway itself took {overhead_ms:.2f} ms (median)",
        f"real:      spent {_money(real)}",
    ]
    if simulated:
        lines.append(f"simulated: at list prices {_money(simulated)}")
        lines.append(
            "           no model was called and nothing was spent; with a provider key set, real models answer"
        )
    return lines


def _cells(outcome: Outcome) -> list[str]:
    cost, baseline = outcome.cost_nanousd, outcome.baseline_nanousd
    saved = None if cost is None or baseline is None else baseline - cost
    return [
        outcome.kind,
        outcome.model,
        "SIMULATED" if outcome.simulated else outcome.provider,
        outcome.cache,
        f"{outcome.prompt_tokens}/{outcome.completion_tokens}",
        _usd(cost),
        _usd(saved),
        "-" if saved is None or not baseline else f"{100 * saved / baseline:.0f} %",
        f"{outcome.latency_ms:.0f}",
    ]


def _money(outcomes: Sequence[Outcome]) -> str:
    """Sum what has prices on both sides; what has not is counted, not guessed."""
    priced = [(o.cost_nanousd, o.baseline_nanousd) for o in outcomes]
    known = [(cost, baseline) for cost, baseline in priced if cost is not None and baseline is not None]
    cost, baseline = sum(cost for cost, _ in known), sum(baseline for _, baseline in known)
    told = f"${_usd(cost)}, on the baseline model ${_usd(baseline)}, saved ${_usd(baseline - cost)}"
    if baseline:
        told += f" ({100 * (baseline - cost) / baseline:.1f} %)"
    if len(known) < len(priced):
        told += f"; {len(priced) - len(known)} unpriced answers are not in these sums"
    return told


def _usd(nanousd: int | None) -> str:
    return "unpriced" if nanousd is None else f"{nanousd / NANO:.6f}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else f"{line[: _SHOWN_CHARS - 3]}..."
