"""The report of a month: what is in it, what is left out, and that its figures are those of the requests."""

import msgspec
import pytest

from neuralrouting.errors import NotFound
from neuralrouting.reports.calendar import Month
from neuralrouting.reports.facts import report_body
from neuralrouting.reports.month import LISTED, MonthlyReport, added, saved_permille
from neuralrouting.storage.attribution import Attribution
from neuralrouting.storage.database import Database
from neuralrouting.storage.usage import UsageSums
from reported import BIG, DAY_MS, DECEMBER_MS, MINI, NOVEMBER, november, reports, settle
from settling import new_account, request_row

pytestmark = pytest.mark.anyio


@pytest.fixture
async def full(database: Database) -> Database:
    await november(database)
    return database


async def ledger_sum(database: Database, *, simulated: int) -> int:
    rows = await database.fetch(
        "SELECT CAST(SUM(l.cost_nanousd) AS BIGINT) FROM ledger AS l JOIN requests AS r ON r.request_id = l.ref "
        "WHERE l.account_id = 'acme' AND l.kind = 'usage' AND l.simulated = $1 "
        "AND r.created_ms >= $2 AND r.created_ms < $3",
        simulated, NOVEMBER.from_ms, NOVEMBER.to_ms,
    )  # fmt: skip
    return int(rows[0][0])


async def test_its_sums_are_those_of_ledger_and_requests(full: Database, report: MonthlyReport):
    assert await reports(full).month("acme", NOVEMBER, DECEMBER_MS) == report
    assert report.total.cost_nanousd == await ledger_sum(full, simulated=0)
    assert report.simulated.cost_nanousd == await ledger_sum(full, simulated=1)
    [(requests, baseline, house)] = await full.fetch(
        "SELECT COUNT(*), CAST(SUM(CASE WHEN cost_nanousd IS NULL THEN 0 ELSE baseline_nanousd END) AS BIGINT), "
        "CAST(SUM(house_nanousd) AS BIGINT) FROM requests "
        "WHERE account_id = 'acme' AND simulated = 0 AND created_ms >= $1 AND created_ms < $2",
        NOVEMBER.from_ms, NOVEMBER.to_ms,
    )  # fmt: skip
    total = report.total
    assert (total.requests, total.baseline_nanousd, total.house_nanousd) == (requests, baseline, house)
    assert total.saved_nanousd == baseline - total.cost_nanousd - house
    assert (total.blocked, total.failed, total.unpriced, total.exact_hits, total.semantic_hits) == (1, 1, 1, 1, 1)


def test_days_and_rankings_each_add_up_to_the_whole(report: MonthlyReport):
    assert len(report.days) == 30
    assert added([day.sums for day in report.days]) == report.total
    for ranking in report.rankings.values():
        assert added([*(line.sums for line in ranking.lines), ranking.others]) == report.total
        costs = [line.sums.cost_nanousd for line in ranking.lines]
        assert costs == sorted(costs, reverse=True)
    assert {line.name for line in report.rankings["model"].lines} == {BIG, MINI, ""}


def test_neighbouring_months_other_accounts_and_simulated_requests_are_not_in_it(report: MonthlyReport):
    assert {line.name for line in report.rankings["user"].lines} == {"anna", "bert", "", "edge"}
    assert [line.sums.requests for line in report.rankings["user"].lines if line.name == "edge"] == [2]
    assert (report.before.requests, report.before.cost_nanousd) == (1, 70)
    assert report.simulated.requests == 1


def test_budgets_show_the_windows_of_the_month(report: MonthlyReport):
    [use] = report.budgets
    assert (use.spent.subject, use.percent, use.spent.over, use.spent.windows) == ("anna", 200, 1, 1)
    [anna] = [line for line in report.rankings["user"].lines if line.name == "anna"]
    assert anna.budget == use


def test_audits_are_those_of_the_month_without_simulated_ones(report: MonthlyReport):
    [one] = report.audits
    assert (one.model, one.better, one.equal, one.worse, one.undecided, one.not_worse) == (MINI, 1, 2, 1, 1, 3)
    assert report.audit_cost_nanousd == 5 * 1_500


def test_premium_that_was_not_needed_is_told_as_elsewhere(report: MonthlyReport):
    [row] = report.needless
    assert (row.task, row.model, row.alternative) == ("qa", BIG, MINI)
    assert row.requests == 8


async def test_filters_narrow_the_sums(full: Database):
    wanted = Attribution(user="anna", model="gpt-4o")
    report = await reports(full).month("acme", NOVEMBER, DECEMBER_MS, wanted)
    assert report.narrowed
    assert report.total.requests == len([n for n in range(30) if n % 3 == 0 and n % 4 == 0])
    assert [line.name for line in report.rankings["user"].lines] == ["anna"]


def test_it_is_over_when_the_next_month_begins(report: MonthlyReport):
    assert not msgspec.structs.replace(report, made_ms=NOVEMBER.to_ms - 1).over
    assert msgspec.structs.replace(report, made_ms=NOVEMBER.to_ms).over


async def test_more_than_are_listed_are_one_line(database: Database):
    rows = [
        request_row(f"r{n}", created_ms=NOVEMBER.from_ms, end_user=f"user {n:02}", cost_nanousd=100 + n)
        for n in range(LISTED + 7)
    ]
    await settle(database, *rows)
    ranking = (await reports(database).month("acme", NOVEMBER, DECEMBER_MS)).rankings["user"]
    assert (len(ranking.lines), ranking.unlisted, ranking.others.requests) == (LISTED, 7, 7)
    assert ranking.lines[0].name == f"user {LISTED + 6}"
    assert ranking.others.cost_nanousd == sum(100 + n for n in range(7))


async def test_no_account_is_not_an_empty_one(database: Database):
    with pytest.raises(NotFound, match="no account 'nobody'"):
        await reports(database).month("nobody", NOVEMBER, DECEMBER_MS)


async def test_an_account_without_requests_has_an_empty_report(database: Database):
    await new_account(database)
    report = await reports(database).month("acme", NOVEMBER, DECEMBER_MS)
    assert report.total == UsageSums()
    assert report_body(report)["total"]["saved_permille"] is None
    assert report.rankings["user"].lines == ()


async def test_months_are_listed_newest_first_back_to_the_first_request(full: Database):
    found = await reports(full).months("acme", DECEMBER_MS)
    assert [str(one.month) for one in found] == ["2026-12", "2026-11", "2026-10"]
    assert found[1].real == (await reports(full).month("acme", NOVEMBER, DECEMBER_MS)).total
    narrowed = await reports(full).months("acme", DECEMBER_MS, Attribution(user="october"))
    assert [one.real.requests for one in narrowed] == [0, 0, 1]


async def test_only_accounts_with_requests_are_active(full: Database):
    assert await reports(full).active(NOVEMBER) == ["acme", "globex"]
    assert await reports(full).active(Month(2026, 10)) == ["acme"]
    assert await reports(full).active(Month(2026, 9)) == []


def test_the_json_has_the_figures_of_the_report(report: MonthlyReport):
    body = report_body(report)
    assert body["total"]["cost_nanousd"] == report.total.cost_nanousd
    assert [day["day"] for day in body["days"]][-1] == "2026-11-30"
    assert {line["user"] for line in body["by_user"]["data"]} == {"anna", "bert", None, "edge"}
    assert body["quality"]["audits"][0]["rate"] == 0.75
    assert body["method"]["price_tables"] == ["2026-01-01", "table of November"]
    assert NOVEMBER.to_ms - NOVEMBER.from_ms == DAY_MS * 30


@pytest.mark.parametrize(
    ("saved", "baseline", "permille"), [(0, 0, None), (1, 3, 333), (-1, 2, -500), (1999, 2000, 1000)]
)
def test_shares_are_rounded_half_away_from_zero(saved: int, baseline: int, permille: int | None):
    assert saved_permille(UsageSums(baseline_nanousd=baseline, saved_routing_nanousd=saved)) == permille
