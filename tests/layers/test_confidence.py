"""What is known of models at tasks: the reference is always good, nothing counts as proven that nobody has compared."""

import msgspec
import pytest

from neuralrouting.catalog import Catalog, Deployment, build_catalog
from neuralrouting.config import Config
from neuralrouting.evidence.matrix import Cell, Matrix, MatrixSettings
from neuralrouting.exchange import Task
from neuralrouting.layers.confidence import OLD_MS, Confidence, Learned, Snapshot, matrix_settings, prior_head

CATALOG = build_catalog(Config(), ["openai", "anthropic", "groq", "together"], None)
SETTINGS = MatrixSettings()
QA = Task("qa", 0.9, abstained=False, complexity=2.0, high_risk=False, risk_domain=None)


def named(id_: str, catalog: Catalog = CATALOG) -> Deployment:
    return next(d for d in catalog.known if d.id == id_)


MINI, HAIKU, TERRA = named("openai/gpt-4o-mini"), named("anthropic/claude-haiku-5-5"), named("openai/gpt-6.1-terra")
BEST, OPUS = named("openai/gpt-4o"), named("anthropic/claude-opus-5-5")


def knowing(*cells: Cell, reference: str = BEST.id, built_ms: int = 0) -> Confidence:
    """A worker that has learned these cells of the account `acme`."""
    table: dict[str, dict[str, Cell]] = {}
    for cell in cells:
        table.setdefault(cell.candidate, {})[cell.task] = cell
    confidence = Confidence(CATALOG, SETTINGS)
    learned = Learned(reference, 100, 0, SETTINGS, Matrix(table))
    confidence.take("acme", Snapshot(learned, built_ms))
    return confidence


PROVEN = Cell(MINI.id, "qa", n=400, mean=0.01, low=-0.02, high=0.04, probability=0.995, state="proven", sent=1.0)
REFUSED = Cell(MINI.id, "qa", n=400, mean=-0.2, low=-0.3, high=-0.1, probability=0.01, state="refused")
OPEN = Cell(MINI.id, "qa", n=30, mean=-0.02, low=-0.2, high=0.16, probability=0.6)


def test_the_reference_is_always_good_enough():
    [odds] = knowing().odds("acme", QA, {}, [BEST])
    assert (odds.enough, odds.basis, odds.expected) == (True, "reference", 0.0)


def test_odds_come_in_the_order_of_the_candidates():
    told = knowing(PROVEN).odds("acme", QA, {"mid": -0.1}, [OPUS, MINI, BEST, HAIKU])
    assert [odds.deployment for odds in told] == [OPUS.id, MINI.id, BEST.id, HAIKU.id]
    assert [odds.enough for odds in told] == [None, True, True, None]


def test_what_is_proven_at_one_task_is_not_at_another():
    confidence = knowing(PROVEN)
    coding = msgspec.structs.replace(QA, task="coding")
    assert confidence.odds("acme", QA, {}, [MINI])[0].basis == "proven"
    assert confidence.odds("acme", coding, {}, [MINI])[0].basis == "unproven"


def test_what_one_account_has_learned_no_other_one_knows():
    confidence = knowing(PROVEN)
    assert confidence.odds("zeta", QA, {}, [MINI])[0].enough is None
    assert confidence.cell("zeta", MINI.id, "qa") is None


@pytest.mark.parametrize(("cell", "enough", "basis"), [(REFUSED, False, "refused"), (OPEN, None, "unproven")])
def test_the_state_of_a_cell_is_told(cell: Cell, enough: bool | None, basis: str):  # noqa: FBT001
    [odds] = knowing(cell).odds("acme", QA, {}, [MINI])
    assert (odds.enough, odds.basis, odds.n) == (enough, basis, int(cell.n))
    assert (odds.low, odds.high) == (cell.low, cell.high)


def test_an_own_head_goes_before_a_shipped_one():
    confidence = knowing()
    assert confidence.predicted(MINI.id, {"small": -0.5, "mid": -0.2}) == -0.2
    assert confidence.predicted(MINI.id, {"small": -0.5, "mid": -0.2, MINI.id: -0.01}) == -0.01
    assert confidence.predicted(BEST.id, {"small": -0.5, "mid": -0.2}) is None
    assert confidence.predicted("nobody/knows", {"small": -0.5}) is None


@pytest.mark.parametrize(
    ("id_", "head"),
    [
        ("groq/llama-3.1-8b", "small"),
        ("groq/llama-3.1-70b", "mid"),
        ("openai/gpt-4o-mini", "mid"),
        ("groq/gpt-oss-20b", "small"),
        ("anthropic/claude-haiku-5-5", "mid"),
        ("openai/gpt-4o", None),
    ],
)
def test_a_shipped_head_speaks_for_models_of_its_kind(id_: str, head: str | None):
    assert prior_head(named(id_)) == head


def test_no_head_speaks_for_a_model_of_which_nothing_is_known():
    assert prior_head(msgspec.structs.replace(HAIKU, price=None)) is None


def test_the_cheapest_that_is_undecided_is_audited_first():
    confidence = knowing(msgspec.structs.replace(PROVEN, candidate=HAIKU.id))
    assert confidence.undecided("acme", "qa", [TERRA, MINI, HAIKU, BEST]) == MINI
    assert confidence.undecided("acme", "coding", [TERRA, MINI, HAIKU, BEST]) == HAIKU
    assert confidence.undecided("acme", "qa", [BEST, OPUS]) is None, "they are no cheaper ones"


def test_where_all_is_decided_a_refused_one_is_looked_at_again():
    refused = msgspec.structs.replace(REFUSED, candidate=TERRA.id)
    assert knowing(PROVEN, refused).undecided("acme", "qa", [MINI, TERRA]) == TERRA
    assert knowing(PROVEN).undecided("acme", "qa", [MINI]) is None


def test_undecided_cells_are_audited_more_than_decided_ones():
    confidence = knowing(PROVEN, msgspec.structs.replace(REFUSED, task="coding"))
    assert confidence.audit_rate("acme", MINI.id, "coding") == SETTINGS.floor
    assert confidence.audit_rate("acme", MINI.id, "chat") == SETTINGS.audit
    assert SETTINGS.floor <= confidence.audit_rate("acme", MINI.id, "qa") < SETTINGS.audit


def test_a_matrix_about_another_reference_is_not_believed():
    confidence = knowing(PROVEN, reference=OPUS.id)
    assert confidence.odds("acme", QA, {}, [MINI])[0].enough is None
    assert confidence.told() == {"accounts": 0, "built": None, "state": "priors"}


def test_a_matrix_that_nobody_builds_anew_is_set_aside():
    confidence = knowing(PROVEN, built_ms=1_000)
    assert confidence.expire(1_000 + OLD_MS) == []
    assert confidence.told() == {"accounts": 1, "built": "1970-01-01T00:00:01Z", "state": "learned"}
    assert confidence.expire(1_001 + OLD_MS) == ["acme"]
    assert confidence.odds("acme", QA, {}, [MINI])[0].enough is None
    assert confidence.told()["state"] == "broken"
    assert confidence.expire(1_001 + OLD_MS) == [], "it is told once"


def test_what_counts_as_proof_is_as_configured():
    config = msgspec.convert(
        {"confidence": {"margin": 0.1, "promote": 0.9, "demote": 0.6, "least": 50}, "shadow": {"share": 0.03}}, Config
    )
    settings = matrix_settings(config)
    assert (settings.margin, settings.promote, settings.demote, settings.least) == (0.1, 0.9, 0.6, 50)
    assert (settings.floor, settings.audit) == (0.03, 0.1)
