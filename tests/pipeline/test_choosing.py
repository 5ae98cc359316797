"""Between an inspected request and its route: who says the mode, whose rules hold, where a conversation is."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counting_house import UNLIMITED
from models_made_up import GRAND, LADDER, MIDDLE, QUICK, SMALL, catalog_of, deployment, names
from neuralrouting.accounts.admission import Admitted
from neuralrouting.accounts.orders import NO_ORDERS, AccountOrders
from neuralrouting.catalog import Deployment, Price
from neuralrouting.config import RoutingConfig
from neuralrouting.engine import Engine, Predictor
from neuralrouting.errors import PermissionDenied
from neuralrouting.exchange import Arrival, Bill, Caller, Facts, Hints, Lookup, Mode, Odds, Route, Task, Usage
from neuralrouting.layers.classification import task_of
from neuralrouting.layers.routing import CACHED_S
from neuralrouting.layers.routing.affinity import CACHE
from neuralrouting.pipeline.choosing import Choosing, OddsSource
from neuralrouting.pipeline.conversations import KEPT_S, Answered, Conversations
from neuralrouting.pipeline.turn import Turn
from neuralrouting.providers.speeds import Speeds
from neuralrouting.rules import read_rules
from nothing_known import NoOdds

Json = dict[str, Any]
ENGINE = Engine()
SYSTEM = {"role": "system", "content": "You book tables in restaurants. " * 400}
FIRST = {"role": "user", "content": "Is there a table for two?"}
SAID = {"role": "assistant", "content": "At eight, yes."}
AGAIN = {"role": "user", "content": "And for three?"}
CALLED = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]}
FOUND = {"role": "tool", "tool_call_id": "1", "content": "two tables are free"}


class Ordered(dict[str, AccountOrders]):
    """Orders of accounts, as they are in memory."""

    def of(self, account_id: str) -> AccountOrders:
        return self.get(account_id, NO_ORDERS)


class Proven:
    """Layer 3 that has proven these models and is told what was predicted."""

    def __init__(self, *proven: Deployment) -> None:
        self._ids = {d.id for d in proven}
        self.asked: list[tuple[str, str, Mapping[str, float]]] = []

    def odds(
        self, account_id: str, task: Task, predicted: Mapping[str, float], candidates: Sequence[Deployment]
    ) -> tuple[Odds, ...]:
        self.asked.append((account_id, task.task, predicted))
        return tuple(
            Odds(d.id, enough=True, basis="proven", expected=0.0, n=500)
            if d.id in self._ids
            else Odds(d.id, enough=None, basis="unproven")
            for d in candidates
        )

    def predictor(self, account_id: str) -> Predictor | None:  # noqa: ARG002
        return None


class Desk:
    """A worker's choosing with a clock of its own."""

    def __init__(
        self,
        orders: AccountOrders = NO_ORDERS,
        odds: OddsSource | None = None,
        settings: RoutingConfig | None = None,
        pool: Sequence[Deployment] = LADDER,
    ) -> None:
        self.now_s = 1_000.0
        self.choosing = Choosing(
            settings or RoutingConfig(), catalog_of(pool), Speeds(), Ordered(acme=orders), odds or NoOdds(),
            lambda: self.now_s,
        )  # fmt: skip

    def route(self, turn: Turn, mode: Mode | None = None) -> Route:
        self.choosing.obey(turn)
        return self.choosing.route(turn, task_of(turn.inspection.classified()), mode)

    def serve(self, turn: Turn, by: Deployment | None = None, usage: Usage | None = None) -> Deployment:
        """Route a request and have its answer learnt, given by the first candidate or by another."""
        route = self.route(turn)
        served = by or route.candidates[0]
        usage = usage or Usage(turn.inspection.prompt_tokens, 20)
        turn.admitted = msgspec.structs.replace(_ADMITTED, route=route)
        self.choosing.learn(turn, Facts("req", served, Lookup("miss"), usage, Bill(0, 0, 0, None, "v1"), 0))
        return served


_ADMITTED = Admitted(Route("auto", "", ()), None, 0, None, None, None, (), ())  # type: ignore[arg-type]


def turn_of(
    *messages: Json, account: str = "acme", key_mode: Mode | None = None, plan_modes: tuple[Mode, ...] = (),
    hints: Json | None = None, live: bool = True, **fields: object,
) -> Turn:  # fmt: skip
    """A request of an account as it stands behind the shield."""
    told = msgspec.convert({"endpoint": "/v1/chat/completions", **(hints or {})}, Hints)
    caller = Caller(account, "key", live=live, team="red", routing_mode=key_mode)
    plan = msgspec.structs.replace(UNLIMITED, modes=plan_modes) if plan_modes else UNLIMITED
    arrival = Arrival("req", caller, plan, told, time.perf_counter_ns(), 1_800_000_000_000)
    body = msgspec.json.encode({"model": "auto", "messages": messages or [FIRST], **fields})
    inspection = ENGINE.inspect(
        body, f"{account}/live", model=told.model, routing_mode=told.routing_mode, read_cache=False
    )
    return Turn(arrival, inspection, stream=False)


def ordering(text: str, mode: Mode | None = None, *, cascade: bool | None = None) -> AccountOrders:
    return AccountOrders(read_rules(text), mode, cascade)


QUALITY_FOR_RED = "- name: red\n  when: {team: red}\n  then: {mode: quality}\n"


# --- who says the mode ----------------------------------------------------------------------------------------------


def test_of_all_who_say_a_mode_the_most_specific_is_heard():
    desk = Desk(ordering(QUALITY_FOR_RED, "speed"), settings=RoutingConfig(default_mode="cost"))
    silent = Desk(ordering("", "speed"), settings=RoutingConfig(default_mode="cost"))
    nobody = Desk(settings=RoutingConfig(default_mode="cost"))
    heard = [
        desk.route(turn_of(hints={"routing_mode": "cost"}, routing_mode="speed")),
        desk.route(turn_of(routing_mode="speed")),
        desk.route(turn_of(key_mode="cost")),
        silent.route(turn_of(key_mode="quality")),
        silent.route(turn_of()),
        nobody.route(turn_of()),
    ]
    assert [(route.mode, route.source) for route in heard] == [
        ("cost", "header"),
        ("speed", "body"),
        ("quality", "rule"),
        ("quality", "key"),
        ("speed", "account"),
        ("cost", "configuration"),
    ]
    assert [route.order for route in heard] == [None, None, "red", None, None, None]


def test_a_mode_that_the_plan_has_not_is_passed_over_for_the_next():
    desk = Desk(ordering(QUALITY_FOR_RED, "speed"))
    plan = ("auto", "speed")
    assert desk.route(turn_of(key_mode="cost", plan_modes=plan)).source == "account"
    only = desk.route(turn_of(key_mode="cost", plan_modes=("cost",)))
    assert (only.mode, only.source) == ("cost", "key")
    none = Desk(settings=RoutingConfig(default_mode="quality")).route(turn_of(plan_modes=("cost",)))
    assert (none.mode, none.source) == ("auto", "plan")


def test_a_budget_that_downgrades_outranks_them_all():
    route = Desk(ordering(QUALITY_FOR_RED)).route(turn_of(hints={"routing_mode": "quality"}), "cost")
    assert (route.mode, route.source, names(route)[0]) == ("cost", "budget", "small")


@pytest.mark.parametrize(
    ("hints", "body", "source"), [({"model": "middle"}, {}, "header"), ({}, {"model": "middle"}, "body")]
)
def test_a_model_that_is_named_is_asked_alone_whatever_rules_say(hints: Json, body: Json, source: str):
    route = Desk(ordering(QUALITY_FOR_RED)).route(turn_of(hints=hints, **body))
    assert (names(route), route.rule, route.source, route.order) == (["middle"], "forced", source, None)


# --- rules ----------------------------------------------------------------------------------------------------------


def test_a_rule_sends_a_task_to_its_models_in_their_order():
    rule = "- name: translations\n  when: {task: translation}\n  then: {model: grand, fallback: [quick]}\n"
    desk = Desk(ordering(rule))
    route = desk.route(turn_of({"role": "user", "content": "Translate to German: good morning"}))
    assert (names(route), route.order) == (["grand", "quick"], "translations")
    assert names(desk.route(turn_of()))[0] == "small"


def test_a_rule_for_a_tier_holds_in_auto_too():
    rule = "- name: red\n  when: {team: red}\n  then: {tier: medium}\n"
    assert names(Desk(ordering(rule)).route(turn_of()))[0] == "middle"


def test_a_rule_that_blocks_is_an_error_with_its_name_and_reason_even_for_who_names_a_model():
    rule = "- name: no code\n  when: {keyword: [password]}\n  then: {block: ask the help desk}\n"
    for fields in ({}, {"model": "grand"}, {"routing_mode": "cost"}):
        with pytest.raises(
            PermissionDenied, match=r"rule 'no code' .* blocks the request: ask the help desk"
        ) as caught:
            Desk(ordering(rule)).route(turn_of({"role": "user", "content": "My password is lost"}, **fields))
        assert (caught.value.status, caught.value.code) == (403, "rule_blocked")
        assert caught.value.envelope()["error"]["type"] == "permission_error"


def test_a_rule_that_blocks_holds_for_what_the_cache_could_answer():
    engine, content = Engine(), "Which wine goes with fish?"
    body = msgspec.json.encode({"model": "auto", "messages": [{"role": "user", "content": content}]})
    key = engine.inspect(body, "acme").key
    assert engine.store(key, b"{}", deployment=SMALL.id)
    turn = turn_of()
    turn.inspection = engine.inspect(body, "acme")
    assert turn.inspection.hit is not None
    blocks = "- name: dry\n  when: {keyword: [wine], task: qa}\n  then: {block: not here}\n"
    with pytest.raises(PermissionDenied):
        Desk(ordering(blocks)).choosing.obey(turn)
    Desk(ordering(blocks.replace("wine", "beer"))).choosing.obey(turn)


def test_rules_of_one_account_are_nothing_to_another():
    rule = "- name: red\n  when: {team: red}\n  then: {block: closed}\n"
    assert names(Desk(ordering(rule)).route(turn_of(account="other")))[0] == "small"


# --- cascade --------------------------------------------------------------------------------------------------------


def test_a_cascade_is_asked_for_by_header_body_rule_account_and_configuration_in_this_order():
    rule = "- name: red\n  when: {team: red}\n  then: {cascade: true}\n"
    ruled, settled = ordering(rule, cascade=False), ordering("", cascade=False)
    on = RoutingConfig(cascade=True)
    cases = [
        (Desk(ruled).route(turn_of(hints={"cascade": False}, cascade=True)), False),
        (Desk(settled).route(turn_of(cascade=True)), True),
        (Desk(ruled).route(turn_of()), True),
        (Desk(settled, settings=on).route(turn_of()), False),
        (Desk(settings=on).route(turn_of()), True),
        (Desk().route(turn_of()), False),
    ]
    assert [route.cascade for route, _ in cases] == [wanted for _, wanted in cases]


# --- odds -----------------------------------------------------------------------------------------------------------


def test_auto_goes_by_the_odds_of_the_account_and_the_others_do_not_ask():
    odds = Proven(SMALL)
    desk = Desk(odds=odds)
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert names(desk.route(turn_of(tools=tools)))[0] == "small"
    assert [(account, sorted(heads)) for account, _, heads in odds.asked] == [("acme", ["mid", "small"])]
    desk.route(turn_of(tools=tools, routing_mode="quality"))
    assert len(odds.asked) == 1


# --- conversations --------------------------------------------------------------------------------------------------


def test_a_conversation_stays_where_what_was_said_is_cheap_to_repeat():
    paid = Price(1_200_000, 1_200_000, 120_000, 1_200_000, "v1", "made up")
    kept = msgspec.structs.replace(deployment("kept", "medium"), price=paid)
    desk = Desk(pool=(kept, MIDDLE))
    desk.serve(turn_of(SYSTEM, FIRST), by=kept)
    route = desk.route(turn_of(SYSTEM, FIRST, SAID, AGAIN))
    assert (names(route), route.affinity) == (["kept", "middle"], CACHE)
    desk.now_s += CACHED_S + 1
    assert names(desk.route(turn_of(SYSTEM, FIRST, SAID, AGAIN))) == ["middle", "kept"]


def test_it_moves_where_what_was_said_costs_as_much_as_what_is_new():
    desk = Desk()
    desk.serve(turn_of(SYSTEM, FIRST), by=GRAND)
    route = desk.route(turn_of(SYSTEM, FIRST, SAID, AGAIN))
    assert (names(route)[0], route.affinity) == ("middle", None)


def test_a_tool_loop_stays_with_the_model_that_began_it():
    desk = Desk()
    desk.serve(turn_of(SYSTEM, FIRST), by=GRAND)
    route = desk.route(turn_of(SYSTEM, FIRST, CALLED, FOUND))
    assert (names(route)[0], route.affinity) == ("grand", "stays while its tool loop runs")
    desk.serve(turn_of(SYSTEM, FIRST, CALLED, FOUND))
    assert names(desk.route(turn_of(SYSTEM, FIRST, CALLED, FOUND, SAID, AGAIN)))[0] == "middle"


def test_a_session_is_a_conversation_whatever_it_begins_with():
    desk = Desk()
    desk.serve(turn_of(FIRST, session_id="s"), by=GRAND)
    assert names(desk.route(turn_of(AGAIN, CALLED, FOUND, session_id="s")))[0] == "grand"
    assert names(desk.route(turn_of(AGAIN, CALLED, FOUND, session_id="t")))[0] == "middle"


def test_the_same_words_of_another_account_or_of_a_test_key_are_another_conversation():
    desk = Desk()
    desk.serve(turn_of(FIRST), by=GRAND)
    desk.serve(turn_of(FIRST, session_id="s"), by=GRAND)
    loop = (FIRST, CALLED, FOUND)
    assert names(desk.route(turn_of(*loop)))[0] == "grand"
    for session in ({}, {"session_id": "s"}):
        assert names(desk.route(turn_of(*loop, account="other", **session)))[0] == "middle"
    with pytest.raises(Exception, match="no model is configured"):  # a test key reaches none of these
        desk.route(turn_of(*loop, live=False))


def test_a_first_question_asked_twice_is_no_conversation():
    desk = Desk()
    desk.serve(turn_of(FIRST), by=GRAND)
    assert names(desk.route(turn_of(FIRST)))[0] == "small"


def test_a_conversation_is_forgotten_an_hour_after_its_last_answer():
    desk = Desk()
    desk.serve(turn_of(FIRST), by=GRAND)
    desk.now_s += KEPT_S
    assert names(desk.route(turn_of(FIRST, CALLED, FOUND)))[0] == "grand"
    desk.now_s += 1
    assert names(desk.route(turn_of(FIRST, CALLED, FOUND)))[0] == "middle"


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from("xy"), st.sampled_from(LADDER)), max_size=12))
def test_whatever_two_accounts_do_each_is_told_of_its_own_conversations_only(asked: list[tuple[str, str, Deployment]]):
    desk = Desk()
    last: dict[tuple[str, str], Deployment] = {}
    for account, session, served in asked:
        loop = turn_of(FIRST, CALLED, FOUND, account=account, session_id=session, routing_mode="auto")
        here = last.get((account, session))
        route = desk.route(loop)
        assert route.candidates[0] is (here or MIDDLE)
        desk.serve(loop, by=served)
        last[account, session] = served


def test_a_worker_remembers_so_many_and_forgets_who_was_quiet_longest():
    memory = Conversations(most=2)
    desk = Desk()
    answered = _answer(desk, 5)
    for key in ("a", "b", "a", "c"):
        memory.keep(key, answered)
    assert len(memory) == 2
    assert memory.stay("b", None, desk.now_s, tool_loop=False) is None
    assert memory.stay("a", None, desk.now_s, tool_loop=False) is not None


def test_a_cached_prompt_counts_for_minutes_and_for_what_goes_on_from_it_alone():
    memory, desk = Conversations(), Desk()
    memory.keep("a", _answer(desk, 7_000))
    later = desk.now_s + CACHED_S

    def cached(opening: bytes, now_s: float) -> int:
        stay = memory.stay("a", opening, now_s, tool_loop=False)
        assert stay is not None
        return stay.cached_tokens

    assert [cached(b"o", later), cached(b"p", later), cached(b"o", later + 1)] == [7_000, 0, 0]


def _answer(desk: Desk, tokens: int) -> Answered:
    return Answered(GRAND.id, "auto", b"o", tokens, 20, desk.now_s)


# --- the same prompt, written otherwise -----------------------------------------------------------------------------

PROMPTS = (
    "Translate to German: where is the station?",
    "Prove rigorously for every integer n > 4 that $2^n > n^2$, derive the bound, and list all edge cases: $n = 2$.",
    "I have chest pain and take warfarin every day. Should I take ibuprofen?",
    "Write a function that merges two sorted lists, without recursion, and explain why it is linear.",
    "What is the capital of Peru?",
    "Summarise this in one line: the meeting was moved to Monday because the hall is being painted.",
)


SETTINGS: tuple[Callable[[str], str], ...] = (
    str.strip,
    lambda prompt: prompt.replace(" ", "  "),
    lambda prompt: re.sub("(?<=[a-z,]) (?=[a-z])", "\n", prompt),
    lambda prompt: re.sub("(?<=[a-z,]) (?=[a-z])", " \r\n", prompt),
)


@given(
    st.sampled_from(PROMPTS),
    st.sampled_from([str.upper, str.lower, str.title, str.swapcase, str.capitalize]),
    st.sampled_from(SETTINGS),
    st.text(" \n\t", max_size=5),
    st.text(" \n\t", max_size=5),
)
def test_neither_case_nor_white_space_amid_a_sentence_or_around_changes_who_answers_a_prompt(
    prompt: str,
    cased: Callable[[str], str],
    spaced: Callable[[str], str],
    before: str,
    after: str,
):
    plain = turn_of({"role": "user", "content": prompt})
    other = turn_of({"role": "user", "content": before + spaced(cased(prompt)) + after})
    for mode in (None, "cost", "quality"):
        first, again = Desk().route(plain, mode), Desk().route(other, mode)
        assert names(first) == names(again)


def test_a_request_is_routed_the_same_way_twice():
    desk = Desk(odds=Proven(QUICK))
    assert desk.route(turn_of()) == desk.route(turn_of())
