"""Signs that an answer did not please: told from ordinary traffic, remembered for two minutes, in bounded memory."""

import orjson
import pytest

from neuralrouting.catalog import build_catalog
from neuralrouting.config import Config
from neuralrouting.engine import Engine
from neuralrouting.exchange import Arrival, Bill, Caller, Facts, Hints, Lookup, Plan, Usage
from neuralrouting.pipeline.signals import ASKERS, SOON_S, Heard, Signals, sign
from neuralrouting.pipeline.turn import Turn
from neuralrouting.storage.feedback import Feedback

ENGINE = Engine()
SERVED = build_catalog(Config(), ["openai"], None).baseline
PLAN = Plan("p", "p", 0, None, None, None, None, ("auto",), force_model=True)
BILL = Bill(1, 1, 0, 0.0, "v")
MOON, MOON_AGAIN = "How far away is the moon from the earth?", "how far away is the moon from the earth"
BREAD = "Give me a recipe for rye bread without yeast, please."


class Desk:
    """One worker that answers what it is asked, and the signs that it noted."""

    def __init__(self) -> None:
        self.noted: list[Feedback] = []
        self.now_s = 1_000.0
        self._signals = Signals(self.noted.append, lambda: self.now_s)
        self._asked = 0

    def ask(self, *texts: str, account: str = "acme", fresh: bool = False, **fields: str) -> str:
        """Have a question answered, the last of a conversation's texts; return the request's id."""
        self._asked += 1
        request_id = f"req_{self._asked}"
        roles = ["user", "assistant"] * len(texts)
        messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
        body = orjson.dumps({"model": "auto", "messages": messages, **fields})
        inspection = ENGINE.inspect(body, account, read_cache=False)
        hints = Hints("/v1/chat/completions", read_cache=not fresh)
        arrival = Arrival(request_id, Caller(account, "key", live=True), PLAN, hints, 0, 0)
        facts = Facts(request_id, SERVED, Lookup("miss"), Usage(1, 1), BILL, 0)
        self._signals.note(Turn(arrival, inspection, stream=False), facts)
        return request_id

    @property
    def signs(self) -> list[tuple[str, str]]:
        return [(sign.request_id, sign.source) for sign in self.noted]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_nearly_the_same_asked_again_at_once_is_a_sign_about_the_first_answer(desk: Desk):
    first = desk.ask(MOON)
    desk.ask(MOON_AGAIN)
    assert desk.signs == [(first, "reask")]
    [noted] = desk.noted
    assert (noted.account_id, noted.score, noted.comment, noted.deployment) == ("acme", -1.0, None, SERVED.id)


def test_another_question_is_no_sign(desk: Desk):
    desk.ask(MOON)
    desk.ask(BREAD)
    assert desk.signs == []


def test_the_very_same_question_is_a_sign_only_where_a_new_answer_is_wanted(desk: Desk):
    first = desk.ask(MOON)
    desk.ask(MOON)
    assert desk.signs == []
    third = desk.ask(MOON, fresh=True)
    assert desk.signs == [("req_2", "reask")]
    assert (first, third) == ("req_1", "req_3")


@pytest.mark.parametrize("other", [{"account": "zeta"}, {"user": "anna"}, {"session_id": "s"}])
def test_what_somebody_else_asks_is_no_sign(desk: Desk, other: dict[str, str]):
    desk.ask(MOON)
    desk.ask(MOON_AGAIN, **other)
    assert desk.signs == []


def test_the_same_end_user_is_known_again_in_another_session(desk: Desk):
    first = desk.ask(MOON, user="anna", session_id="a")
    desk.ask(MOON_AGAIN, user="anna", session_id="b")
    assert desk.signs == [(first, "reask")]


def test_a_last_message_that_is_changed_is_an_edit(desk: Desk):
    history = ("What is rye?", "A cereal.")
    first = desk.ask(*history, BREAD, session_id="s")
    desk.ask(*history, "Which of its breads keeps longest in a cupboard?", session_id="s")
    assert desk.signs == [(first, "edit")]


def test_a_conversation_that_goes_on_is_no_edit(desk: Desk):
    desk.ask("What is rye?", "A cereal.", BREAD, session_id="s")
    desk.ask("What is rye?", "A cereal.", BREAD, "Here it is.", "And how long does that keep?", session_id="s")
    assert desk.signs == []


def test_what_is_asked_long_after_is_no_sign(desk: Desk):
    first = desk.ask(MOON)
    desk.now_s += SOON_S
    second = desk.ask(MOON_AGAIN)
    assert desk.signs == [(first, "reask")]
    desk.now_s += SOON_S + 0.1
    desk.ask(MOON)
    assert desk.signs == [(first, "reask")], f"{second} is long past"


def test_embeddings_that_cannot_be_compared_are_no_sign():
    def heard(key: bytes, embedding: bytes) -> Heard:
        return Heard("r", 0.0, key, embedding, None, b"", None, None)

    for one, other in ((b"", b""), (bytes(256), bytes(256)), (b"\x01" * 256, b"\x01" * 128)):
        assert sign(heard(b"a", one), heard(b"b", other), fresh=False) is None


def test_memory_is_bounded(desk: Desk):
    first = desk.ask(MOON, user="first")
    for place in range(ASKERS):
        desk.ask(BREAD, user=f"user-{place}")
    desk.ask(MOON_AGAIN, user="first")
    assert desk.signs == [], f"{first} was forgotten for newer ones"
