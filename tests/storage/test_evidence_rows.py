"""Evidence: an account's own comparisons and feedback, a person's word before the judge's, none that is simulated."""

import pytest

from compared import CHEAP, MIDDLE, NOW_MS, REFERENCE, compared, series, write
from neuralrouting.evidence.audits import Audit
from neuralrouting.exchange import Judged, Said
from neuralrouting.storage.database import Database
from neuralrouting.storage.evidence import PAGE, EvidenceRows
from neuralrouting.storage.feedback import Feedback, FeedbackRows

pytestmark = pytest.mark.anyio


@pytest.fixture
def rows(database: Database) -> EvidenceRows:
    return EvidenceRows(database)


async def test_a_comparison_is_read_as_an_audit(database: Database, rows: EvidenceRows):
    versions = {"candidate_version": "mini-1", "reference_version": "4o-2"}
    await write(database, [compared("lose", predicted=-0.25, **versions)])
    [found] = await rows.audits("acme", REFERENCE)
    audit = Audit(CHEAP, "qa", -1.0, NOW_MS, 1.0, 0.1, -0.25, "mini-1 4o-2", certain=False)
    assert found == Judged(audit, checked=False, by_judge=-1.0)


async def test_what_a_check_or_a_person_decided_is_certain(database: Database, rows: EvidenceRows):
    checked = compared("win", judge=None, method="check", judged_ms=NOW_MS + 1)
    await write(database, [compared("tie", human="lose", human_ms=NOW_MS + 5), checked])
    by_check, by_person = await rows.audits("acme", REFERENCE)
    assert (by_check.audit.certain, by_check.checked, by_check.by_judge) == (True, False, None)
    assert (by_person.audit.certain, by_person.checked, by_person.by_judge) == (True, True, 0.0)
    assert by_person.audit.difference == -1.0, "a person's verdict goes before the judge's"


async def test_a_person_judges_what_nobody_could(database: Database, rows: EvidenceRows):
    await write(database, [compared(None, judge=None, method="none")])
    assert await rows.audits("acme", REFERENCE) == []
    await database.execute("UPDATE shadow_audits SET human = 'win', human_ms = $1", NOW_MS)
    [found] = await rows.audits("acme", REFERENCE)
    assert (found.audit.difference, found.checked, found.by_judge) == (1.0, True, None)


@pytest.mark.parametrize(
    "columns",
    [{"account_id": "zeta"}, {"kind": "cache"}, {"simulated": 1}, {"reference": MIDDLE}],
    ids=["another account", "of the cache", "simulated", "another reference"],
)
async def test_what_is_no_evidence_is_left_out(database: Database, rows: EvidenceRows, columns: dict[str, object]):
    await write(database, [compared("lose", embedding=bytes(256), **columns)])
    assert await rows.audits("acme", REFERENCE) == []
    if "reference" not in columns:
        assert await rows.went_wrong("acme", 0, 10) == []


async def test_the_newest_are_read_page_by_page_and_no_more_than_wanted(database: Database, rows: EvidenceRows):
    same_moment = [compared(judged_ms=NOW_MS) for _ in range(PAGE + 5)]
    await write(database, [*same_moment, compared("lose", judged_ms=NOW_MS - 1)])
    assert len(await rows.audits("acme", REFERENCE)) == PAGE + 6
    found = await rows.audits("acme", REFERENCE, PAGE + 5)
    assert [one.audit.difference for one in found] == [0.0] * (PAGE + 5)


async def test_rows_of_features_are_those_of_one_candidate(database: Database, rows: EvidenceRows):
    kept = [compared("lose", features=b"a", judged_ms=NOW_MS - 1), compared("win", features=b"b"), compared()]
    await write(database, [*kept, compared(candidate=MIDDLE, features=b"c")])
    assert await rows.rows("acme", REFERENCE, CHEAP, 10) == [(b"b", 1.0, 0.1), (b"a", -1.0, 0.1)]
    assert await rows.rows("acme", REFERENCE, CHEAP, 1) == [(b"b", 1.0, 0.1)]


async def test_prompts_that_went_wrong_are_those_that_a_person_or_else_the_judge_says(
    database: Database, rows: EvidenceRows
):
    mended = compared("lose", embedding=b"m" * 256, human="tie", human_ms=NOW_MS)
    worse = compared("tie", embedding=b"w" * 256, human="lose", human_ms=NOW_MS)
    old = compared("lose", embedding=b"o" * 256, judged_ms=NOW_MS - 10)
    await write(database, [mended, worse, old, *series("wtl"), compared("win", embedding=b"v" * 256)])
    assert await rows.went_wrong("acme", NOW_MS - 5, 10) == [b"w" * 256]
    assert await rows.went_wrong("acme", 0, 10) == [b"w" * 256, b"o" * 256]
    assert await rows.went_wrong("acme", 0, 1) == [b"w" * 256]
    followed = await rows.went_wrong_since(0)
    assert [(account, embedding[:1]) for _, account, embedding in followed] == [("acme", b"w"), ("acme", b"o")]
    assert await rows.went_wrong_since(followed[-1][0]) == []
    assert await rows.last_seq() == 7


async def test_feedback_that_was_given_on_purpose_of_other_models_is_read(database: Database, rows: EvidenceRows):
    said = FeedbackRows(database)
    for place, (source, task, deployment) in enumerate(
        [("user", "qa", CHEAP), ("user", "qa", REFERENCE), ("reask", "qa", CHEAP), ("user", None, CHEAP)]
    ):
        await said.put(Feedback("acme", f"req_{place}", source, -0.5, "why", task, deployment, NOW_MS))  # type: ignore[arg-type]
    await said.put(Feedback("zeta", "req_0", "user", 1.0, None, "qa", CHEAP, NOW_MS))
    assert await rows.feedback("acme", REFERENCE) == [Said(CHEAP, "qa", -0.5, NOW_MS)]


async def test_the_reference_is_that_of_the_newest_comparison(database: Database, rows: EvidenceRows):
    assert await rows.reference("acme") is None
    await write(database, [compared(), compared(reference=MIDDLE, judged_ms=NOW_MS - 1)])
    assert await rows.reference("acme") == REFERENCE
