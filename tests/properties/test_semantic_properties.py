"""In whatever order who asks what: an answer is given again to its own caller, place and question only, and always."""

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuralrouting import Engine
from neuralrouting.engine import CachedReply, Inspection
from neuralrouting.exchange import CacheEntry
from neuralrouting.layers.cache import remember

QUESTIONS = (
    ("What is the boiling point of mercury?", "whats the boiling point of MERCURY"),
    ("How do I remove a coffee stain from a carpet?", "How can I remove coffee stains from a carpet?"),
    ("How can I learn to play the piano?", "How do I learn to play the piano?"),
    ("How can I learn to play the violin?", "how do i learn to play the violin"),
)  # fmt: skip
TENANTS = ("acme/live", "acme/test", "zeta/live")
NOW_MS = 4_000_000_000_000


@dataclass(frozen=True)
class Ask:
    """One request: who asks, for which end user, under which system prompt, which question in which words."""

    tenant: str
    user: str | None
    place: str
    question: int
    words: int

    def body(self) -> bytes:
        texts = QUESTIONS[self.question]
        messages = [
            {"role": "system", "content": self.place},
            {"role": "user", "content": texts[self.words % len(texts)]},
        ]
        return json.dumps({"model": "auto", "messages": messages}).encode()


@dataclass(frozen=True)
class Purge:
    """Everything of an account goes."""

    account: str


@dataclass(frozen=True)
class Restart:
    """The worker is replaced by one that has read what was kept."""


asks = st.builds(
    Ask,
    st.sampled_from(TENANTS),
    st.sampled_from((None, "ada", "bob")),
    st.sampled_from(("Be brief.", "Be kind.")),
    st.integers(0, len(QUESTIONS) - 1),
    st.integers(0, 1),
)
purges = st.builds(Purge, st.sampled_from(("acme", "zeta")))
steps = st.lists(st.one_of(asks, asks, asks, asks, asks, purges, st.builds(Restart)), min_size=10, max_size=60)


@dataclass
class Worker:
    """A real core, and what ought to be known to it."""

    per_user: bool
    known: set[str] = field(default_factory=set)
    kept: list[CacheEntry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = Engine(cache_bytes=1 << 22, per_user=self.per_user)

    def name_of(self, ask: Ask) -> str:
        """Whoever and whatever must be the same for an answer to be given again."""
        user = ask.user if self.per_user else None
        return json.dumps([ask.tenant, user, ask.place, ask.question])

    def ask(self, ask: Ask) -> None:
        name = self.name_of(ask)
        inspection = self.engine.inspect(ask.body(), ask.tenant, semantic=True, user=ask.user)
        hit = inspection.hit
        assert (hit is not None) == (name in self.known)
        again = self.engine.look_again(inspection)
        for found in (hit, again):
            assert found is None or said(found) == name
        if hit is None:
            self.store(ask, inspection, name)

    def store(self, ask: Ask, inspection: Inspection, name: str) -> None:
        message = {"role": "assistant", "content": name}
        body = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
        entry = CacheEntry(
            key=inspection.key,
            account_id=ask.tenant.partition("/")[0],
            body=body,
            deployment="a/b",
            simulated=False,
            prompt_tokens=1,
            completion_tokens=1,
            stored_ms=NOW_MS,
            expires_ms=NOW_MS + 1_000_000,
            scope=inspection.scope,
            probe=inspection.probe,
            embedder=self.engine.embedder,
        )
        assert remember(self.engine, entry)
        self.kept.append(entry)
        self.known.add(name)

    def purge(self, account: str) -> None:
        self.engine.purge(account=account, before_s=NOW_MS // 1_000)
        self.kept = [entry for entry in self.kept if entry.account_id != account]
        self.known = {name for name in self.known if not json.loads(name)[0].startswith(f"{account}/")}

    def restart(self) -> None:
        self.engine = Engine(cache_bytes=1 << 22, per_user=self.per_user)
        for entry in self.kept:
            assert remember(self.engine, entry)


def said(hit: CachedReply) -> str:
    return json.loads(hit.body)["choices"][0]["message"]["content"]


@pytest.mark.parametrize("per_user", [False, True], ids=["by tenant", "by end user"])
@given(what=steps)
def test_an_answer_is_given_again_to_its_own_caller_place_and_question_only_and_always(
    *, per_user: bool, what: list[Ask | Purge | Restart]
):
    worker = Worker(per_user=per_user)
    for step in what:
        match step:
            case Ask():
                worker.ask(step)
            case Purge(account):
                worker.purge(account)
            case Restart():
                worker.restart()
