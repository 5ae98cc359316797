"""The PDF: its text holds the figures of the ledger, it is tagged, and no name of a client's is more than text."""

import io
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import typst
from pypdf import PdfReader

from neuralrouting.api.figures import decimal_usd, short_usd
from neuralrouting.evidence.matrix import Cell
from neuralrouting.exchange import Budget
from neuralrouting.reports.calendar import Month
from neuralrouting.reports.month import Audited, BudgetUse, Line, MonthlyReport, Ranking, Shielded
from neuralrouting.reports.typeset import typeset
from neuralrouting.reports.wording import _SHOWN, NOTHING, change, percent, readable
from neuralrouting.storage.attribution import Attribution
from neuralrouting.storage.months import BudgetSpent
from neuralrouting.storage.usage import UsageSums
from reported import BIG, MINI, NOVEMBER, text_of

HOSTILE = (
    '#import "@preview/cetz:0.3.0"', "$x^2$ *bold* _it_ @ref <label>", "#{panic()}", "`raw` \\ / // \\u{41}",
    "שלום עולם", "مرحبا بالعالم", "Ana 😀 漢字", "a\0b", "\x1b[2J\n\r\t", "\u202egnp.exe", "\ud800", "\ufffe",
    "e\u0301\u0301\u0301", "W" * 500, "漢" * 500, "\u0627\u0644\u0644\u0647", "fi ffl -- --- ...", "=1+2", " ",
)  # fmt: skip


@pytest.fixture(scope="module")
def text(report: MonthlyReport) -> str:
    return text_of(typeset(report))


def pages_of(pdf: bytes) -> int:
    return len(PdfReader(io.BytesIO(pdf)).pages)


def test_the_exact_figures_are_those_of_the_sums(report: MonthlyReport, text: str):
    told = text[text.index("In US dollars") :]
    total = report.total
    for label, amount in {
        "Spent": total.cost_nanousd,
        "Baseline": total.baseline_nanousd,
        "Saved by routing": total.saved_routing_nanousd,
        "Saved by the exact cache": total.saved_exact_nanousd,
        "Saved by the semantic cache": total.saved_semantic_nanousd,
        "Gateway's own cost": total.house_nanousd,
        "Saved": total.saved_nanousd,
        "Providers' prompt caches": total.provider_cache_nanousd,
        "Shadow audits (in no sum above)": report.audit_cost_nanousd,
        "Simulated spend (in no sum)": report.simulated.cost_nanousd,
    }.items():
        assert f" {label} {decimal_usd(amount)}" in told


def test_every_line_of_a_ranking_has_its_figures(report: MonthlyReport, text: str):
    nameless = {"model": "(no model answered)", "feature": "(no feature named)", "user": "(no user named)"}
    for group, ranking in report.rankings.items():
        for line in ranking.lines:
            sums = line.sums
            money = " ".join(short_usd(n) for n in (sums.cost_nanousd, sums.baseline_nanousd, sums.saved_nanousd))
            assert f"{line.name or nameless[group]} {sums.requests:,} {money}" in text


def test_the_headline_causes_and_the_month_before_are_told(report: MonthlyReport, text: str):
    total, before = report.total, report.before
    assert f"Spent {short_usd(total.cost_nanousd)} without 1 unpriced request" in text
    assert f"Baseline {short_usd(total.baseline_nanousd)} the same on gpt-4o" in text
    assert f"Routing to a cheaper model {short_usd(total.saved_routing_nanousd)}" in text
    assert f"Repeated questions (exact cache) {short_usd(total.saved_exact_nanousd)}" in text
    assert f"Requests {total.requests:,} {before.requests:,} +" in text
    assert "1 simulated request (worth $5.50 at list prices) left out of every sum" in text
    assert "acme, November 2026 · made on 2026-12-02 00:00 UTC Page 1 of" in text


def test_budgets_quality_premium_and_method_are_told(report: MonthlyReport, text: str):
    assert "anna 10 " in text
    assert "200% of $50.00" in text
    assert "A month of each user anna month $50.00 $100.00 200% reached" in text
    assert "3 (75.0%; 95% interval 30.1% to 95.4%) were not worse. 1 more comparison could not be decided." in text
    assert f"{MINI} 4 1 2 1 75.0% 30.1% to 95.4%" in text
    assert f"qa {BIG} {MINI} 8 {short_usd(report.needless[0].saving_nanousd)} not proven" in text
    assert "The shield had nothing to note." in text
    assert "$2.50 in, $1.25 cached in, $10.00 out per million tokens" in text
    assert "2026-01-01, table of November (at the first and the last requests of the month)" in text


def test_it_is_tagged_titled_and_for_universal_access(report: MonthlyReport):
    root = PdfReader(io.BytesIO(typeset(report))).trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en-US"
    assert "/StructTreeRoot" in root
    assert b"<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_data()
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]


def test_the_chart_is_told_in_words(report: MonthlyReport):
    alternatives = _alternatives(typeset(report))
    [told] = [one for one in alternatives if one]
    last = report.days[29].sums
    assert f"The highest day is 30 November: {short_usd(last.cost_nanousd)} spent" in told


def _alternatives(pdf: bytes) -> list[str]:
    reader = PdfReader(io.BytesIO(pdf))
    objects = [reader.get_object(number) for number in range(1, int(reader.trailer["/Size"]))]
    return [str(one["/Alt"]) for one in objects if isinstance(one, dict) and "/Alt" in one]


def test_a_month_that_goes_on_says_so(report: MonthlyReport):
    told = text_of(typeset(msgspec.structs.replace(report, made_ms=NOVEMBER.to_ms - 3_600_000)))
    assert "November 2026, so far" in told
    assert "these are its figures so far, until 30 November, 23:00 UTC" in told
    assert not re.search(r"[+-][\d,.]+%", told)


def test_a_narrowed_report_says_to_what(report: MonthlyReport):
    told = text_of(typeset(msgspec.structs.replace(report, wanted=Attribution(user="#x", feature=""))))
    assert "Narrowed to user #x, feature (none)." in told


def test_a_month_without_requests_says_so(report: MonthlyReport):
    nothing = Ranking((), UsageSums(), 0)
    empty = msgspec.structs.replace(
        report, month=Month(2024, 2), total=UsageSums(), simulated=UsageSums(), before=UsageSums(), budgets=(),
        audits=(), needless=(), rankings=dict.fromkeys(report.rankings, nothing),
    )  # fmt: skip
    pdf = typeset(empty)
    assert "No real requests in February 2024." in text_of(pdf)
    assert 2 <= pages_of(pdf) + 1 <= 4


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_changes_nothing_but_text(report: MonthlyReport, name: str):
    line = Line(name, UsageSums(requests=7, cost_nanousd=1_230_000_000))
    users = Ranking((line,), UsageSums(), 0)
    made = msgspec.structs.replace(
        report, account_name=name, wanted=Attribution(user=name), rankings={**report.rankings, "user": users}
    )
    pdf = typeset(made)
    told = text_of(pdf)
    assert "7 $1.23 $0.00" in told
    assert pages_of(pdf) <= 4
    if name.isascii() and name.isprintable() and len(name) < 30:
        assert f"{name.strip()} 7 $1.23" in told
    # Of the account nothing but its name: figures before and after stand as ever.
    assert f"Spent {short_usd(report.total.cost_nanousd)}" in told


def test_characters_without_a_glyph_are_written_as_escapes():
    assert readable("Ana 😀 漢") == "Ana \\U0001f600 \\u6f22"
    assert readable("a\0b\u202ec\ud800") == "a\\x00b\\u202ec\\ud800"
    assert readable("Zoë Ελλάδα Мир שלום") == "Zoë Ελλάδα Мир שלום"
    assert readable("Zoë", ascii_only=True) == "Zo\\xeb"
    assert len(readable("x" * 500)) == 80


def test_every_character_that_is_left_as_it_is_has_a_glyph():
    shown = [chr(code) for first, last in _SHOWN for code in range(first, last + 1)]
    lines = tuple(Line("".join(shown[at : at + 40]), UsageSums()) for at in range(0, len(shown), 40))
    names = [readable(line.name) for line in lines]
    source = (
        '#set document(title: "t")\n#set text(font: "Libertinus Serif", lang: "en")\n'
        "#for c in json(bytes(sys.inputs.n)) { box(c) }"
    )
    letters = msgspec.json.encode([c for name in names for c in name]).decode()
    typst.compile(
        source.encode(), format="pdf", ignore_system_fonts=True, sys_inputs={"n": letters}, pdf_standards=["ua-1"]
    )


def test_the_fullest_month_has_four_pages(report: MonthlyReport):
    sums = UsageSums(requests=10**9, cost_nanousd=10**18, baseline_nanousd=3 * 10**18, saved_routing_nanousd=2 * 10**18)
    budget = Budget("b", "acme", "W" * 200, "user", "*", "month", 10**18, "block")
    use = BudgetUse(budget, BudgetSpent("W" * 200, 10**18, 31, 31))
    lines = tuple(Line("W" * 500, sums, use) for _ in range(15))
    ranking = Ranking(lines, sums, 10**6)
    cells = tuple(Cell("W" * 200, "summarization", n=10.0**6, state="refused") for _ in range(40))
    full = msgspec.structs.replace(
        report, total=sums, before=sums, simulated=sums, account_name="W" * 200, budgets=(use,) * 40,
        rankings=dict.fromkeys(report.rankings, ranking), audits=(Audited("W" * 200, 10**6, 10**6, 10**6, 9),) * 40,
        proofs=msgspec.structs.replace(report.proofs, built_ms=1, cells=cells), needless=report.needless * 40,
        examined=10_000, shielded=Shielded({"block": 10**6}, {"W" * 60 + str(n): n for n in range(40)}),
        made_ms=NOVEMBER.from_ms, wanted=Attribution(*["W" * 500] * 6),
        method=msgspec.structs.replace(report.method, tables=("genai-prices 0.2.3 (2026-11-01)",) * 4),
    )  # fmt: skip
    pdf = typeset(full)
    assert pages_of(pdf) <= 4
    assert "The 8 of 40 budget windows nearest their limit are listed." in text_of(pdf)


def test_without_typst_it_says_what_to_install(tmp_path: Path):
    script = (
        "import sys; sys.modules['typst'] = None\n"
        "from neuralrouting.reports.typeset import installed, typeset\n"
        "from neuralrouting.errors import Unavailable\n"
        "assert not installed()\n"
        "try: typeset(None)\n"
        "except Unavailable as error: print(error.code, error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.strip() == "not_installed reports as PDF need typst: pip install 'neuralrouting[reports]'"


@pytest.mark.parametrize(
    ("now", "before", "told"),
    [(3, 2, "+50.0%"), (1, 2, "-50.0%"), (2, 2, "0.0%"), (1, 0, NOTHING), (-3, -2, "-50.0%"), (2, -2, "+200.0%")],
)
def test_changes_are_told_with_their_sign(now: int, before: int, told: str):
    assert change(now, before) == told


def test_percent_of_nothing_is_a_dash():
    assert (percent(None), percent(-5), percent(12_345)) == (NOTHING, "-0.5%", "1,234.5%")
