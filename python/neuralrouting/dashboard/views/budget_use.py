"""How much of a budget is used, as rows of a page tell it; and the budgets that hold for users, keys and the rest."""

from collections.abc import Iterable, Mapping, Sequence

from neuralrouting.accounts.budgets import EACH, Charge, Spender, epoch_ms, matching
from neuralrouting.api.budgets import window_body
from neuralrouting.api.figures import money
from neuralrouting.exchange import Budget, JsonObject
from neuralrouting.storage.budgets import BudgetRows, Window
from neuralrouting.storage.turns import budget_purse


def state_of(percent: int, warn_percent: int) -> str:
    """Return the word for how much is used."""
    return "over" if percent >= 100 else "near" if percent >= warn_percent else "within"


def budget_row(body: JsonObject) -> JsonObject:
    """Return a budget of the API flat, with the one of its windows of which most is used."""
    used = max(body["windows"], key=lambda window: window["percent"], default=None)
    told = {name: value for name, value in body.items() if name not in ("object", "windows")}
    percent = used["percent"] if used else 0
    return {
        **told,
        "subjects": len(body["windows"]),
        "highest": used["subject"] if used else None,
        **({name: used[name] for name in ("spent_nanousd", "spent_usd")} if used else money("spent", 0)),
        "percent": percent,
        "state": state_of(percent, body["warn_percent"]),
    }


async def uses(
    rows: BudgetRows, budgets: Sequence[Budget], scope: str, subjects: Iterable[str], now_ms: int
) -> Mapping[str, JsonObject]:
    """Return for each of these users, keys and so on the budget of which most is used, flat; none for who has none."""
    by_subject: dict[str, list[Budget]] = {}
    for budget in budgets:
        if budget.scope == scope:
            by_subject.setdefault(budget.subject, []).append(budget)
    charges = {subject: _charges(by_subject, scope, subject, now_ms) for subject in subjects if subject}
    purses = sorted({charge.purse for found in charges.values() for charge in found})
    windows = {window.purse: window for window in await rows.windows_of(purses)}
    told = {subject: [_use(charge, windows, now_ms) for charge in found] for subject, found in charges.items()}
    return {subject: max(found, key=lambda use: use["budget_percent"]) for subject, found in told.items() if found}


def _charges(by_subject: Mapping[str, Sequence[Budget]], scope: str, subject: str, now_ms: int) -> tuple[Charge, ...]:
    """Return the windows that spending of this subject counts in."""
    if scope == "model":
        # As `matching` does it for a deployment: by its id or its bare name, `*` by the bare name.
        bare = subject.partition("/")[2] if not subject.startswith("simulated/") else subject
        own = [budget for name in dict.fromkeys((subject, bare)) for budget in by_subject.get(name, ())]
        each = by_subject.get(EACH, ())
        pairs = [*((budget, budget.subject) for budget in own), *((budget, bare) for budget in each)]
        return tuple(
            Charge(budget, budget_purse(budget.id, epoch_ms(budget.period, now_ms), name), name)
            for budget, name in pairs
        )
    spender = Spender(
        subject if scope == "key" else "",
        subject if scope == "team" else None,
        subject if scope == "user" else None,
        subject if scope == "feature" else None,
    )
    return matching([*by_subject.get(subject, ()), *by_subject.get(EACH, ())], spender, (), now_ms)


def _use(charge: Charge, windows: Mapping[str, Window], now_ms: int) -> JsonObject:
    budget = charge.budget
    empty = Window(charge.purse, epoch_ms(budget.period, now_ms), charge.subject, 0, 0)
    window = window_body(budget, windows.get(charge.purse, empty))
    return {
        "budget_id": budget.id,
        "budget_name": budget.name,
        "budget_own": budget.subject != EACH,
        "budget_period": budget.period,
        "budget_action": budget.action,
        "budget_warn_percent": budget.warn_percent,
        **money("budget_limit", budget.limit_nanousd),
        **{f"budget_{name}": window[name] for name in ("spent_nanousd", "spent_usd", "percent")},
        "budget_state": state_of(window["percent"], budget.warn_percent),
    }


NO_BUDGET: JsonObject = dict.fromkeys(_use(Charge(Budget("", "", "", "user", "", "day", 1, "warn"), "", ""), {}, 0))
"""The fields of whoever has no budget."""
