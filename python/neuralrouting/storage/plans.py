"""Rows of plans: what accounts may do, as data that the operator sets."""

from typing import Final

import msgspec

from neuralrouting.errors import InvalidField
from neuralrouting.exchange import JsonObject, Mode, Plan
from neuralrouting.storage.bounds import check_figure, check_id, check_text
from neuralrouting.storage.changes import next_change
from neuralrouting.storage.database import Database, Row, RowError, Script, Statement, ask
from neuralrouting.storage.trail import COMMON, Actor, Change, record

MODES: Final[tuple[Mode, ...]] = ("auto", "cost", "quality", "speed")

_COLUMNS = Plan.__struct_fields__
_MODES_AT = _COLUMNS.index("modes")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM plans"  # noqa: S608  names of our own columns
_PUT = (
    f"INSERT INTO plans ({', '.join(_COLUMNS)}, changed_ms) "  # noqa: S608
    f"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, {next_change('plans', '$10')}) ON CONFLICT (id) DO UPDATE SET "
    f"{', '.join(f'{name} = excluded.{name}' for name in (*_COLUMNS[1:], 'changed_ms'))}"
)
# Locks the row on PostgreSQL until the transaction ends; SQLite has one writer at a time anyway.
_HOLD = f"UPDATE plans SET changed_ms = changed_ms WHERE id = $1 RETURNING {', '.join(_COLUMNS)}"  # noqa: S608
_USERS = "SELECT COUNT(*) FROM accounts WHERE plan_id = $1"
_REMOVE = "DELETE FROM plans WHERE id = $1"


def hold_plan(plan_id: str) -> Statement:
    """Return a step of a script that keeps this plan from being removed until its end; no row: no such plan."""
    return ask(_HOLD, plan_id)


class PlanRows:
    """Reads and writes plans.

    There are few, and one that was removed leaves no row to be noticed: whoever follows them reads them all.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> list[Plan]:
        """Return every plan, by id."""
        return [_plan(row) for row in await self._database.fetch(f"{_SELECT} ORDER BY id")]

    async def find(self, plan_id: str) -> Plan | None:
        """Return one plan."""
        rows = await self._database.fetch(f"{_SELECT} WHERE id = $1", plan_id)
        return _plan(rows[0]) if rows else None

    async def put(self, plan: Plan, now_ms: int, *, actor: Actor) -> None:
        """Add the plan, or put it in the place of the one with its id. Raises InvalidField where it makes no sense."""
        check_plan(plan)
        values = list(msgspec.structs.astuple(plan))
        values[_MODES_AT] = msgspec.json.encode(plan.modes).decode()

        def script() -> Script[None]:
            held = yield hold_plan(plan.id)
            yield ask(_PUT, *values, now_ms)
            before = _told(_plan(held[0])) if held else None
            yield from record(self._database.dialect, Change(COMMON, actor, "plan.put", plan.id, before, _told(plan)))

        await self._database.transact(script)

    async def remove(self, plan_id: str, *, actor: Actor) -> bool:
        """Remove a plan; False when there is none. Raises RowError while accounts have it."""

        def script() -> Script[bool]:
            held = yield hold_plan(plan_id)
            if not held:
                return False
            [(accounts,)] = yield ask(_USERS, plan_id)
            if accounts:
                raise RowError(f"the plan is that of {accounts} account{'s'[: accounts > 1]}: give them another first")
            yield ask(_REMOVE, plan_id)
            change = Change(COMMON, actor, "plan.remove", plan_id, _told(_plan(held[0])), None)
            yield from record(self._database.dialect, change)
            return True

        return await self._database.transact(script)


def check_plan(plan: Plan) -> None:
    """Raise InvalidField, which names the field, where a plan makes no sense."""
    check_id(plan.id, "id")
    check_text(plan.name, "name")
    check_figure(plan.price_cents, "price_cents", least=0)
    check_figure(plan.monthly_mc, "monthly_mc", least=0)
    check_figure(plan.requests_per_minute, "requests_per_minute")
    check_figure(plan.tokens_per_minute, "tokens_per_minute")
    check_figure(plan.parallel, "parallel")
    if "auto" not in plan.modes or len(set(plan.modes)) != len(plan.modes) or not set(plan.modes) <= set(MODES):
        raise InvalidField(f"modes are 'auto' and any of {', '.join(MODES[1:])}, each once", param="modes")


def _told(plan: Plan) -> JsonObject:
    return {name: value for name, value in msgspec.structs.asdict(plan).items() if name != "id"}


def _plan(row: Row) -> Plan:
    told = dict(zip(_COLUMNS, row, strict=True)) | {"modes": msgspec.json.decode(row[_MODES_AT])}
    # Not strict: the databases keep a flag as 0 or 1.
    return msgspec.convert(told, Plan, strict=False)
