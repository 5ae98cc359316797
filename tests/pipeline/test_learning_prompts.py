"""What is learned of single prompts: an account's own heads, and prompts like those that went wrong."""

import msgspec
import pytest
from learners import WELL, first_learner, learner

from compared import CHEAP, NOW_MS, compared, series, write
from neuralrouting.engine import Engine
from neuralrouting.evidence.rows import keep_row
from neuralrouting.pipeline.building import HEAD_LEAST, read_heads, read_learned
from neuralrouting.pipeline.learning import Learning
from neuralrouting.storage.confidence import ConfidenceRow, ConfidenceRows
from neuralrouting.storage.database import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
async def learning(database: Database) -> Learning:
    """One worker that follows and builds only when it is told to."""
    return await first_learner(database)


async def test_the_next_prompt_like_one_that_went_wrong_is_known_within_a_poll(database: Database, learning: Learning):
    engine = Engine()
    body = b'{"model": "auto", "messages": [{"role": "user", "content": "How far is the moon from the earth?"}]}'
    first = engine.inspect(body, "t", read_cache=False)
    assert first.escalated == -1.0
    await learning.follow()
    await write(database, [compared("lose", embedding=first.embedding)])
    await learning.follow()

    def escalated(of: Learning, account_id: str) -> float:
        predictor = of.confidence.predictor(account_id)
        return engine.inspect(body, "t", read_cache=False, predictor=predictor).escalated

    assert escalated(learning, "acme") == pytest.approx(1.0, abs=0.01)
    assert escalated(learning, "zeta") == -1.0
    await learning.rebuild("acme")
    restarted = learner(database)
    await restarted.follow()
    assert escalated(restarted, "acme") == pytest.approx(1.0, abs=0.01)
    row = await ConfidenceRows(database).find("acme")
    assert row is not None
    assert len(read_heads(row.heads).escalated) in (0, 256), "its audit is older than thirty days by its date"


KNITTING = ("sleeve", "collar", "sock", "scarf", "glove", "blanket", "cardigan", "cap")
RIVERS = ("Rhine", "Danube", "Nile", "Volga", "Amazon", "Ganges", "Loire", "Thames")


def asked(subjects: tuple[str, ...], place: int) -> str:
    """A prompt of one of two kinds."""
    subject = subjects[place % len(subjects)]
    if subjects is KNITTING:
        return f"How many stitches does a knitted {subject} of size {place} need with thick wool?"
    return f"Through which {place + 2} towns does the river {subject} flow on its way to the sea?"


async def test_a_head_of_an_accounts_own_tells_its_prompts_apart(database: Database, learning: Learning):
    rows = [
        compared(verdict, features=keep_row(asked(kind, place)), judged_ms=NOW_MS + place)
        for place in range(80)
        for kind, verdict in ((KNITTING, "lose"), (RIVERS, "win"))
    ]
    await write(database, rows)
    row = await learning.rebuild("acme")
    assert read_learned(row.matrix).heads == (CHEAP,)
    predictor = learning.confidence.predictor("acme")
    assert predictor is not None
    assert predictor.names == ["small", "mid", CHEAP]
    engine = Engine()

    def predicted(text: str) -> float:
        body = msgspec.json.encode({"model": "auto", "messages": [{"role": "user", "content": text}]})
        found = dict(engine.inspect(body, "t", read_cache=False, predictor=predictor).predicted)
        told = learning.confidence.predicted(CHEAP, found)
        assert told == found[CHEAP]
        return found[CHEAP]

    for place in range(100, 108):  # none of them was among those that it learned from
        assert predicted(asked(KNITTING, place)) < -0.1 < 0.1 < predicted(asked(RIVERS, place))


async def test_a_head_of_other_features_is_not_used(database: Database, learning: Learning):
    kept = [compared("lose", features=keep_row(asked(KNITTING, place))) for place in range(HEAD_LEAST)]
    await write(database, kept)
    row = await learning.rebuild("acme")
    heads = read_heads(row.heads)
    assert len(heads.heads) == 1
    other = msgspec.structs.replace(heads, version=bytes(8))
    await database.execute("UPDATE confidence SET heads = $1, seq = seq + 1", msgspec.msgpack.encode(other))
    fresh = learner(database)
    await fresh.follow()
    assert fresh.confidence.predictor("acme") is None
    assert fresh.confidence.told()["state"] == "learned", "the cells are as good as ever"


async def test_few_comparisons_make_no_head(database: Database, learning: Learning):
    kept = [compared("lose", features=keep_row(asked(KNITTING, place))) for place in range(HEAD_LEAST - 1)]
    await write(database, [*kept, *series(WELL)])  # enough comparisons, but not of enough prompts
    assert read_heads((await learning.rebuild("acme")).heads).heads == {}


async def test_what_goes_wrong_while_a_matrix_is_built_is_not_forgotten(database: Database, learning: Learning):
    await write(database, series(WELL))
    await learning.rebuild("acme")
    row = await ConfidenceRows(database).find("acme")
    assert row is not None
    await write(database, [compared("lose", embedding=b"\x01" * 256)])
    await learning.follow()
    assert learning.confidence.predictor("acme") is not None
    # A build that had read its evidence before.
    await ConfidenceRows(database).put(ConfidenceRow("acme", row.seq, row.built_ms, row.matrix, row.heads))
    await learning.follow()
    assert learning.confidence.predictor("acme") is not None
