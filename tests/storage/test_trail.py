"""The trail: every admin action leaves one entry in its account's chain, and what was changed or taken out is found."""

import asyncio
import sqlite3
from itertools import pairwise
from pathlib import Path

import msgspec
import orjson
import pytest

from cache_rows import stored
from neuralrouting.accounts.keys import create_key
from neuralrouting.errors import NotFound
from neuralrouting.exchange import Budget, JsonObject, Plan
from neuralrouting.storage.accounts import AccountRows
from neuralrouting.storage.books import Books
from neuralrouting.storage.budgets import BudgetRows
from neuralrouting.storage.checks import check_of_the_day
from neuralrouting.storage.database import FILE_NAME, Database, RowError, Script, open_database
from neuralrouting.storage.entries import INSERT_ENTRY, entry_values
from neuralrouting.storage.judgements import Judgement, Judgements
from neuralrouting.storage.keys import KeyOptions, KeyRows
from neuralrouting.storage.ledger import GENESIS, digest
from neuralrouting.storage.plans import PlanRows
from neuralrouting.storage.purges import Purges
from neuralrouting.storage.routing_settings import RoutingSettingsRows
from neuralrouting.storage.rules import RuleRows
from neuralrouting.storage.shadow_audits import ShadowAudits
from neuralrouting.storage.trail import COMMON, GATEWAY, Actor, Change, Trail, actor_of, record, told_text
from shadow_rows import audit_row

pytestmark = pytest.mark.anyio
ADA = Actor("user_ada")
BUDGET = Budget("bdg_1", "acme", "all", "account", "", "month", 5_000, "block", 80)
PLAN = Plan("team", "Team", 4_900, 1_000, None, None, None, ("auto",), force_model=False)
TRIGGERS = "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal AND tgname LIKE 'trail%'"
Told = tuple[str, str, JsonObject | None, JsonObject | None]


@pytest.fixture
async def trail(database: Database) -> Trail:
    """The trail of a database with one account, which nobody has touched yet."""
    await AccountRows(database).ensure("acme", "Acme", 1, actor=GATEWAY)
    return Trail(database)


async def told(trail: Trail, account_id: str = "acme", actor: Actor = ADA) -> list[Told]:
    """What an actor has done, oldest first."""
    return [
        (entry.action, entry.subject, _read(entry.before), _read(entry.after))
        for entry in reversed(await trail.page(account_id, None, 1_000))
        if entry.actor == actor
    ]


def _read(text: str | None) -> JsonObject | None:
    return None if text is None else orjson.loads(text)


async def change(database: Database, subject: str, account_id: str = "acme") -> None:
    await database.transact(lambda: record(database.dialect, Change(account_id, ADA, "tried", subject, None, {"n": 1})))


async def test_a_key_is_followed_from_its_making_to_its_end(database: Database, trail: Trail):
    rows = KeyRows(database)
    key = await create_key(rows, "acme", "laptop", live=True, now_ms=1, actor=ADA, options=KeyOptions(team="red"))
    await rows.change(key.id, lambda had: msgspec.structs.replace(had, team=None, parallel=3), 2, actor=ADA)
    await rows.revoke(key.id, 3, actor=ADA)
    made, changed, revoked = await told(trail)
    assert made[:3] == ("key.create", key.id, None)
    assert made[3] is not None
    assert (made[3]["name"], made[3]["live"], made[3]["role"], made[3]["team"]) == ("laptop", True, "member", "red")
    assert changed == ("key.change", key.id, {"team": "red", "parallel": None}, {"team": None, "parallel": 3})
    assert revoked == ("key.revoke", key.id, {"name": "laptop", "role": "member"}, None)


async def test_nothing_of_a_keys_secret_is_in_the_trail(database: Database, trail: Trail):
    key = await create_key(KeyRows(database), "acme", "laptop", live=True, now_ms=1, actor=ADA)
    kept = repr(await database.fetch("SELECT * FROM trail"))
    assert key.id in kept
    assert not any(
        secret in kept for secret in (key.key[21:64], repr(key.secret_sha256)[2:-1], key.secret_sha256.hex())
    )


async def test_accounts_and_plans_are_followed(database: Database, trail: Trail):
    accounts, plans = AccountRows(database), PlanRows(database)
    await plans.put(PLAN, 1, actor=ADA)
    await plans.put(msgspec.structs.replace(PLAN, price_cents=5_000), 2, actor=ADA)
    await accounts.ensure("zeta", "Zeta", 3, "team", actor=ADA)
    await accounts.ensure("zeta", "Another", 3, "free", actor=ADA)
    await accounts.set_plan("zeta", "free", 4, actor=ADA)
    await accounts.rename("zeta", "Zeta Inc", 5, actor=ADA)
    assert await plans.remove("team", actor=ADA)
    assert await told(trail, "zeta") == [
        ("account.create", "zeta", None, {"name": "Zeta", "plan": "team"}),
        ("account.change", "zeta", {"plan": "team"}, {"plan": "free"}),
        ("account.change", "zeta", {"name": "Zeta"}, {"name": "Zeta Inc"}),
    ]
    made, changed, removed = await told(trail, COMMON)
    assert (made[:3], changed) == (
        ("plan.put", "team", None),
        ("plan.put", "team", {"price_cents": 4_900}, {"price_cents": 5_000}),
    )
    assert removed[0] == "plan.remove"
    assert removed[2] is not None
    assert (removed[2]["price_cents"], removed[3]) == (5_000, None)


async def test_credits_that_are_booked_are_in_the_trail_once(database: Database, trail: Trail):
    books = Books(database)
    for _ in range(2):
        await books.top_up("acme", 500, "invoice 7", ADA, "paid")
    await books.refund("acme", 200, "back 7", ADA, "too much")
    assert await told(trail) == [
        ("credits.topup", "invoice 7", None, {"millicredits": 500, "ledger_seq": 1, "reason": "paid"}),
        ("credits.refund", "back 7", None, {"millicredits": -200, "ledger_seq": 2, "reason": "too much"}),
    ]


async def test_budgets_are_followed(database: Database, trail: Trail):
    rows = BudgetRows(database)
    await rows.put(BUDGET, 1, actor=ADA)
    await rows.put(msgspec.structs.replace(BUDGET, limit_nanousd=7_000), 2, actor=ADA)
    await rows.put(msgspec.structs.replace(BUDGET, limit_nanousd=7_000), 3, actor=ADA)
    assert await rows.remove("bdg_1", "acme", 4, actor=ADA)
    assert not await rows.remove("bdg_1", "acme", 5, actor=ADA)
    made, changed, removed = await told(trail)
    assert (made[0], made[2]) == ("budget.create", None)
    assert changed == ("budget.change", "bdg_1", {"limit_nanousd": 5_000}, {"limit_nanousd": 7_000})
    assert (removed[0], removed[3]) == ("budget.remove", None)


async def test_rules_and_settings_are_followed(database: Database, trail: Trail):
    routing, shield = RoutingSettingsRows(database), RuleRows(database)
    await routing.change("acme", lambda had: msgspec.structs.replace(had, rules="- a"), 1, actor=ADA)
    await routing.change("acme", lambda had: msgspec.structs.replace(had, routing_mode="cost"), 2, actor=ADA)
    assert await shield.put("acme", "x = 1", 3, actor=ADA)
    assert await shield.put("acme", "", 4, actor=ADA)
    assert await told(trail) == [
        ("routing.rules", "acme", {"rules": None}, {"rules": "- a"}),
        ("routing.settings", "acme", {"mode": None}, {"mode": "cost"}),
        ("shield.rules", "acme", {"rules": None}, {"rules": "x = 1"}),
        ("shield.rules", "acme", {"rules": "x = 1"}, {"rules": None}),
    ]


def test_of_a_long_text_only_what_it_is_recognised_by_is_kept():
    assert told_text("a" * 2_000) == "a" * 2_000
    long = told_text("a" * 2_001)
    assert isinstance(long, dict)
    assert (long["characters"], len(long["sha256"])) == (2_001, 64)


async def test_purges_and_verdicts_of_people_are_followed(database: Database, trail: Trail):
    audit = audit_row()
    await ShadowAudits(database).write(audit, None)
    await ShadowAudits(database).judge_as_person("acme", audit.id, "lose", 1, actor=ADA)
    entry = stored(bytes(32), body=b"{}")
    await database.write([(INSERT_ENTRY, [entry_values(entry)])])
    wrong = Judgement("acme", bytes(32), "semantic", 0.95, agreed=False, source="user")
    await Judgements(database).judge(wrong, 2, actor=ADA)
    await Purges(database).purge("acme", pattern="Paris", now_ms=3, actor=ADA)
    await Purges(database).purge("acme", now_ms=4, actor=ADA)
    assert await told(trail) == [
        ("shadow.verdict", audit.id, {"verdict": None}, {"verdict": "lose"}),
        ("cache.judge", bytes(32).hex(), None, {"kind": "semantic", "agreed": False}),
        ("cache.purge", "acme", None, {"pattern": "Paris"}),
        ("cache.purge", "acme", None, {"all": True}),
    ]


async def test_verdicts_of_the_shadow_layer_are_not_in_it(database: Database, trail: Trail):
    await database.write([(INSERT_ENTRY, [entry_values(stored(bytes(32)))])])
    right = Judgement("acme", bytes(32), "semantic", 0.95, agreed=True, source="shadow")
    await Judgements(database).judge(right, 2, actor=None)
    assert [entry.actor for entry in await trail.page("acme", None, 10)] == [GATEWAY]


async def test_an_action_that_is_refused_or_rolled_back_leaves_no_entry(database: Database, trail: Trail):
    before = await trail.head("acme")
    with pytest.raises(NotFound):
        await AccountRows(database).set_plan("acme", "no-such-plan", 1, actor=ADA)
    with pytest.raises(RowError):
        await PlanRows(database).remove("unlimited", actor=ADA)

    def script() -> Script[None]:
        yield from record(database.dialect, Change("acme", ADA, "tried", "s", None, {"n": 1}))
        raise RowError("what comes after fails")

    with pytest.raises(RowError):
        await database.transact(script)
    assert await trail.head("acme") == before
    assert await told(trail) == []
    await change(database, "works")
    assert await trail.verify() == []


async def test_a_change_that_changes_nothing_leaves_no_entry(database: Database, trail: Trail):
    await AccountRows(database).set_plan("acme", "unlimited", 1, actor=ADA)
    await AccountRows(database).rename("acme", "Acme", 2, actor=ADA)
    assert await told(trail) == []


async def test_an_entry_is_chained_to_the_one_before_by_its_hash(database: Database, trail: Trail):
    await change(database, "nul \0 and \ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"))
    second, first = await trail.page("acme", None, 10)
    assert first.hash == digest(GENESIS, msgspec.structs.astuple(first)[:-1])
    assert second.hash == digest(first.hash, msgspec.structs.astuple(second)[:-1])
    assert (await trail.head("acme")).hash == second.hash
    assert second.subject == "nul \N{REPLACEMENT CHARACTER} and \N{GRINNING FACE}"
    assert await trail.verify() == []


async def test_pages_go_on_where_the_last_one_ended(database: Database, trail: Trail):
    for number in range(5):
        await change(database, str(number))
    page = await trail.page("acme", None, 4)
    rest = await trail.page("acme", page[-1].seq, 4)
    assert [entry.seq for entry in page + rest] == [6, 5, 4, 3, 2, 1]


async def test_two_workers_that_write_at_once_make_one_chain(
    database: Database, trail: Trail, database_place: tuple[str | None, Path]
):
    other = await open_database(*database_place)
    try:
        both = (database, other)
        await asyncio.gather(*(change(both[number % 2], f"change {number}") for number in range(30)))
        await asyncio.gather(
            *(BudgetRows(both[number % 2]).put(
                msgspec.structs.replace(BUDGET, limit_nanousd=number + 1), number, actor=ADA
            ) for number in range(10))
        )  # fmt: skip
    finally:
        await other.close()
    entries = await trail.page("acme", None, 100)
    assert [entry.seq for entry in entries] == list(range(41, 0, -1))
    assert {entry.subject for entry in entries} == {"acme", "bdg_1", *(f"change {number}" for number in range(30))}
    limits = [(_read(entry.before), _read(entry.after)) for entry in reversed(entries) if entry.subject == "bdg_1"]
    for (_, earlier), (later, _) in pairwise(limits):
        assert earlier is not None
        assert later is not None
        assert later["limit_nanousd"] == earlier["limit_nanousd"]
    assert await trail.verify() == []


# --- what somebody does to the tables -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE trail SET actor = 'nobody'",
        "DELETE FROM trail",
        "DELETE FROM trail_heads",
        "UPDATE trail_heads SET seq = 0",
    ],
)
async def test_the_database_itself_refuses_to_change_what_was_written(database: Database, trail: Trail, sql: str):
    # Not one of our errors: a statement of ours that did this would be a mistake.
    with pytest.raises(Exception, match=r"only appended to|refused"):
        await database.execute(sql)
    assert len(await trail.page("acme", None, 10)) == 1
    assert await trail.verify() == []


async def _force(database: Database, place: tuple[str | None, Path], *changes: str) -> None:
    """Change rows as no program of ours could: without triggers."""
    url, data_dir = place
    if url is None:
        connection = sqlite3.connect(data_dir / FILE_NAME, isolation_level=None)
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for sql in changes:
            connection.execute(sql)
        connection.close()
        return
    for name, table in await database.fetch(TRIGGERS):
        await database.execute(f"DROP TRIGGER {name} ON {table}")
    for sql in changes:
        await database.execute(sql)


AT = "WHERE account_id = 'acme' AND seq = {}"
ENTRY_2, ENTRY_3, HEAD = "entry 2 of account acme", "entry 3 of account acme", "head of account acme"


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        pytest.param([f"UPDATE trail SET actor = 'nobody' {AT.format(2)}"], [ENTRY_2], id="an actor"),
        pytest.param([f"UPDATE trail SET after = NULL {AT.format(2)}"], [ENTRY_2], id="what came of it"),
        pytest.param([f"UPDATE trail SET at_ms = at_ms - 1 {AT.format(2)}"], [ENTRY_2], id="a time"),
        pytest.param([f"DELETE FROM trail {AT.format(2)}"], [ENTRY_3, ENTRY_3], id="a row in the middle"),
        pytest.param([f"DELETE FROM trail {AT.format(4)}"], [HEAD], id="the last row"),
        pytest.param(["DELETE FROM trail WHERE account_id = 'acme' AND seq > 1"], [HEAD], id="the whole tail"),
        pytest.param(["DELETE FROM trail WHERE account_id = 'acme'"], [HEAD], id="all rows"),
        pytest.param(["DELETE FROM trail_heads WHERE account_id = 'acme'"], [HEAD], id="the head"),
        pytest.param(
            [f"DELETE FROM trail {AT.format(4)}", f"DELETE FROM trail {AT.format(2)}",
             "UPDATE trail_heads SET seq = 3 WHERE account_id = 'acme'"],
            [ENTRY_3, ENTRY_3, HEAD], id="rows and the number in the head",
        ),
    ],
)  # fmt: skip
async def test_what_was_changed_or_taken_out_is_found(
    database: Database, trail: Trail, database_place: tuple[str | None, Path], changes: list[str], rows: list[str]
):
    for number in range(3):
        await change(database, str(number))
        await change(database, str(number), "zeta")
    assert await trail.verify() == []
    await _force(database, database_place, *changes)
    assert [breach.row for breach in await trail.verify()] == rows


async def test_the_common_chain_is_checked_as_well(
    database: Database, trail: Trail, database_place: tuple[str | None, Path]
):
    await PlanRows(database).put(PLAN, 1, actor=ADA)
    await _force(database, database_place, "UPDATE trail SET subject = 'other' WHERE account_id = ''")
    assert [breach.row for breach in await trail.verify()] == ["entry 1 of the common chain"]


async def test_the_nightly_check_looks_at_the_trail(
    database: Database, trail: Trail, database_place: tuple[str | None, Path]
):
    assert await check_of_the_day(database, 1_000) == []
    await _force(database, database_place, "UPDATE trail SET actor = 'nobody'")
    found = await check_of_the_day(database, 1_000 + 86_400_000)
    assert found is not None
    assert [(breach.invariant, breach.row) for breach in found] == [("trail", "entry 1 of account acme")]


def test_an_actor_says_what_acts():
    assert [actor_of("0aB3dE6fG9hJ"), actor_of("user_7"), actor_of("key_7")] == [
        "key_0aB3dE6fG9hJ",
        "user_7",
        "key_7",
    ]
