"""Equal requests at once: one of them asks, all are answered, and nobody is worse off for the company."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from conducted import ALONE, TEXT, Asked, Conducted, Play, ask, body, done, head, patient, rows_of, turns, under_way

from neuralrouting.config import CacheConfig
from neuralrouting.errors import PlanRequired, UpstreamError, UpstreamInterrupted
from neuralrouting.exchange import AnswerStream, Arrival, Hints
from neuralrouting.pipeline import flight
from settling import new_account
from stepping import Stepped
from till import GIVEN_MC, PAID, Build, Client, Till

pytestmark = pytest.mark.anyio
WAYS = {"whole": (False,), "stream": (True,), "mixed": (False, True)}


async def stage(build: Build, config: object = ALONE) -> tuple[Till, Conducted]:
    provider = Conducted()
    return await build(config=config, providers={"first": provider}), provider


def crowd(till: Till, count: int, ways: Sequence[bool] = (False, True)) -> list[Asked]:
    return [ask(till, stream=ways[n % len(ways)]) for n in range(count)]


# --- sharing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("leads", [False, True], ids=["whole leads", "stream leads"])
async def test_fifty_equal_requests_ask_once_and_are_charged_once(build: Build, ways: Sequence[bool], *, leads: bool):
    till, provider = await stage(build)
    everybody = [ask(till, stream=leads), *crowd(till, 49, ways)]
    await turns(till)
    [play] = provider.plays
    play.answer()
    assert await done(*everybody) == [None] * 50
    assert {one.text for one in everybody} == {TEXT}
    assert all(one.finish == ["stop"] for one in everybody)
    assert [one.shared for one in everybody] == [False, *[True] * 49]
    assert len(provider.plays) == 1
    leader, *others = await rows_of(till, *everybody)
    assert (leader["cache"], leader["hold_state"], leader["charged_mc"]) == ("miss", "settled", 10 * (11 + 7))
    for row in others:
        assert (row["cache"], row["status"], row["attempts"]) == ("exact", 200, "[]")
        assert (row["hold_state"], row["charged_mc"], row["cost_nanousd"]) == ("none", 0, 0)
        assert (row["prompt_tokens"], row["completion_tokens"]) == (11, 7)


async def test_a_follower_reads_along_live_and_who_comes_late_begins_at_the_first_chunk(build: Build):
    till, provider = await stage(build)
    first, early = ask(till, stream=True), ask(till, stream=True)
    await turns(till)
    play = provider.plays[0]
    play.cues.put_nowait([head()])
    play.say("one ")
    await turns(till)
    assert first.text == early.text == "one "
    late = ask(till, stream=True)
    await turns(till)
    assert late.text == "one "
    play.say("two ")
    await turns(till)
    assert first.text == early.text == late.text == "one two "
    play.say("three")
    play.end()
    await done(first, early, late)
    assert first.said == early.said
    assert late.text == TEXT


async def test_waiting_is_no_overhead_but_counts_as_latency(build: Build):
    till, provider = await stage(build)
    everybody = crowd(till, 3, (False,))
    await turns(till)
    await asyncio.sleep(0.1)
    provider.plays[0].answer()
    await done(*everybody)
    for row in (await rows_of(till, *everybody))[1:]:
        assert row["latency_us"] >= 100_000
        assert row["overhead_us"] < 50_000


async def test_a_slow_follower_neither_holds_the_others_back_nor_misses_anything(build: Build):
    till, provider = await stage(build)
    first = ask(till, stream=True)
    await turns(till)
    play = provider.plays[0]
    play.say("one ")
    await turns(till)
    arrival = till.arrival()
    slow = await till.pipeline.open(arrival, till.pipeline.inspect(body(stream=True), arrival))
    play.say("two ", "three")
    play.end()
    await done(first)
    assert slow.facts is None
    read = [chunk async for batch in slow.batches for chunk in batch]
    assert len(read) == 5
    assert slow.facts is not None
    await slow.batches.aclose()


async def test_after_the_flight_the_cache_answers(build: Build):
    till, provider = await stage(build)
    everybody = crowd(till, 2)
    await turns(till)
    provider.plays[0].answer()
    await done(*everybody)
    later = ask(till, stream=False)
    await done(later)
    assert later.facts is not None
    assert (later.facts.cache.outcome, later.facts.cache.shared, len(provider.plays)) == ("exact", False, 1)


# --- who does not share ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hints",
    [Hints("/v1/dispatch", read_cache=False), Hints("/v1/dispatch", write_cache=False, read_cache=False)],
    ids=["no-cache", "no-store"],
)
async def test_who_wants_no_cache_neither_leads_nor_follows(build: Build, hints: Hints):
    till, provider = await stage(build)
    everybody = [ask(till, stream=True, hints=hints), ask(till, stream=True), ask(till, stream=False, hints=hints)]
    await turns(till)
    assert len(provider.plays) == 3
    assert under_way(till) == 1
    for play in provider.plays:
        play.answer()
    assert await done(*everybody) == [None] * 3


async def test_without_a_cache_nobody_shares(build: Build):
    till, provider = await stage(build, msgspec.structs.replace(ALONE, cache=CacheConfig(enabled=False)))
    everybody = crowd(till, 3)
    await turns(till)
    assert (len(provider.plays), under_way(till)) == (3, 0)
    for play in provider.plays:
        play.answer()
    await done(*everybody)


async def test_two_tenants_never_share(build: Build):
    till, provider = await stage(build)
    await new_account(till.database, "rival", GIVEN_MC)
    mine, mine_too = ask(till, stream=True), ask(till, stream=False)
    caller = mine.arrival.caller
    rivals = ask(till, stream=True, caller=msgspec.structs.replace(caller, account_id="rival"))
    await turns(till)
    assert (len(provider.plays), under_way(till)) == (2, 2)
    for play in provider.plays:
        play.answer()
    assert await done(mine, mine_too, rivals) == [None] * 3
    assert [one.shared for one in (mine, mine_too, rivals)] == [False, True, False]


async def test_the_rules_hold_for_who_waits_too(build: Build):
    till, provider = await stage(build)
    hints = Hints("/v1/dispatch", model="m")
    first = ask(till, stream=False, hints=hints)
    await turns(till)
    small = msgspec.structs.replace(PAID, force_model=False)
    refused = ask(till, stream=False, hints=hints, plan=small)
    assert isinstance((await done(refused))[0], PlanRequired)
    provider.plays[0].answer()
    assert await done(first) == [None]


async def test_who_comes_to_a_full_flight_goes_alone(build: Build, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flight, "SHARERS", 2)
    till, provider = await stage(build)
    everybody = crowd(till, 4, (False,))
    await turns(till)
    assert len(provider.plays) == 2
    for play in provider.plays:
        play.answer()
    assert await done(*everybody) == [None] * 4
    assert [one.shared for one in everybody] == [False, True, True, False]


# --- the leader fails -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS.keys())
async def test_a_failed_leader_keeps_its_error_and_one_waiter_asks_for_the_rest(build: Build, ways: Sequence[bool]):
    till, provider = await stage(build)
    first, *others = crowd(till, 20, ways)
    await turns(till)
    provider.plays[0].fail(UpstreamError("it broke"))
    await turns(till)
    assert len(provider.plays) == 2
    provider.plays[1].answer()
    failed, *rest = await done(first, *others)
    assert isinstance(failed, UpstreamError)
    assert rest == [None] * 19
    assert {one.text for one in others} == {TEXT}
    rows = await rows_of(till, first, *others)
    assert [row["hold_state"] for row in rows] == ["voided", "settled", *["none"] * 18]


async def test_who_sat_through_two_handovers_goes_alone_at_the_third_failure(build: Build):
    till, provider = await stage(build)
    everybody = crowd(till, 10, (False,))
    await turns(till)
    for failures in range(3):
        assert len(provider.plays) == 1 + failures
        provider.plays[-1].fail(UpstreamError("down"))
        await turns(till)
    assert len(provider.plays) == 10, "all others at once, none after the other"
    for play in provider.plays[3:]:
        play.answer()
    found = await done(*everybody)
    assert sum(isinstance(one, UpstreamError) for one in found) == 3


async def test_nobody_waits_longer_than_a_request_may_take(build: Build):
    till, provider = await stage(build, patient(0.2))
    first = ask(till, stream=True)  # a stream may take longer
    await turns(till)
    waiting = ask(till, stream=False)
    await turns(till)
    assert len(provider.plays) == 1
    await asyncio.sleep(0.25)
    assert len(provider.plays) == 2
    for play in reversed(provider.plays):
        play.answer()
    assert await done(first, waiting) == [None, None]
    assert not waiting.shared


async def test_a_stream_that_breaks_breaks_for_who_reads_along_and_is_asked_anew_for_who_has_nothing(build: Build):
    till, provider = await stage(build)
    first, along, whole, whole_too = (ask(till, stream=stream) for stream in (True, True, False, False))
    await turns(till)
    provider.plays[0].say("one ")
    await turns(till)
    provider.plays[0].fail(UpstreamError("it broke"))
    await turns(till)
    assert len(provider.plays) == 2
    provider.plays[1].answer()
    found = await done(first, along, whole, whole_too)
    assert [type(one) for one in found[:2]] == [UpstreamInterrupted, UpstreamInterrupted]
    assert found[2:] == [None, None]
    assert first.said == along.said == ["one "]
    assert (whole.text, whole_too.text, whole_too.shared) == (TEXT, TEXT, True)
    row = (await rows_of(till, along))[0]
    assert (row["status"], row["error_code"], row["cache"]) == (502, "upstream_interrupted", "exact")
    assert (row["charged_mc"], row["cost_nanousd"]) == (0, 0)
    assert row["completion_tokens"] > 0


async def test_a_reader_of_a_stream_that_stands_still_is_told_so(build: Build):
    till, provider = await stage(build, patient(0.1))
    arrival = till.arrival()
    leader = await _opened_with(till, provider, arrival)
    await anext(aiter(leader.batches))
    along = ask(till, stream=True)
    [failed] = await done(along)
    assert isinstance(failed, UpstreamInterrupted)
    assert along.said == ["one "]
    await leader.batches.aclose()


async def _opened_with(till: Till, provider: Conducted, arrival: Arrival) -> AnswerStream:
    opening = asyncio.create_task(till.pipeline.open(arrival, till.pipeline.inspect(body(stream=True), arrival)))
    await turns(till)
    provider.plays[-1].say("one ")
    return await opening


async def test_a_stream_that_is_closed_unread_leaves_nobody_without_an_answer(build: Build):
    till, provider = await stage(build)
    arrival = till.arrival()
    opening = asyncio.create_task(till.pipeline.open(arrival, till.pipeline.inspect(body(stream=True), arrival)))
    await turns(till)
    waiting = ask(till, stream=True)
    await turns(till)
    provider.plays[0].say("one ")
    leader = await opening
    await turns(till)
    await leader.batches.aclose()
    await turns(till)
    assert len(provider.plays) == 2
    provider.plays[1].answer()
    assert await done(waiting) == [None]
    assert waiting.text == TEXT


# --- answers that are nobody else's ---------------------------------------------------------------------------------


@pytest.mark.parametrize("finish", ["length", "tool_calls", "content_filter"])
@pytest.mark.parametrize("leads", [False, True], ids=["whole leads", "stream leads"])
async def test_an_answer_that_may_not_be_stored_is_not_shared_with_who_has_nothing_yet(
    build: Build, finish: str, *, leads: bool
):
    till, provider = await stage(build)
    first, *others = [ask(till, stream=leads), *crowd(till, 5, (False,))]
    await turns(till)
    provider.plays[0].answer(finish)
    await turns(till)
    assert len(provider.plays) == 6, "all at once"
    newcomer = ask(till, stream=True)
    await turns(till)
    assert len(provider.plays) == 7, "while they run nobody waits for anybody"
    for play in provider.plays[1:]:
        play.answer()
    assert await done(first, *others, newcomer) == [None] * 7
    assert (first.finish, others[0].finish) == ([finish], ["stop"])
    assert not any(one.shared for one in (*others, newcomer))


async def test_who_reads_along_gets_a_cut_answer_as_it_is(build: Build):
    till, provider = await stage(build)
    first, along = ask(till, stream=True), ask(till, stream=True)
    await turns(till)
    provider.plays[0].answer("length")
    assert await done(first, along) == [None, None]
    assert (first.said, first.finish) == (along.said, along.finish) == (along.said, ["length"])
    assert along.shared
    assert len(provider.plays) == 1


async def test_an_answer_that_we_cut_off_reaches_who_reads_along_with_its_ending(build: Build):
    till, provider = await stage(build)
    first, along = ask(till, stream=True), ask(till, stream=True)
    await turns(till)
    for _ in range(200):
        provider.plays[0].say("many words that go on and on ")
    assert await done(first, along) == [None, None]
    assert first.finish == along.finish == ["length"]
    assert first.text == along.text
    assert provider.plays[0].stopped


async def test_once_the_lone_ones_are_done_a_new_flight_begins(build: Build):
    till, provider = await stage(build)
    everybody = crowd(till, 3, (False,))
    await turns(till)
    provider.plays[0].answer("length")
    await turns(till)
    for play in provider.plays[1:]:
        play.answer("length")
    await done(*everybody)
    assert under_way(till) == 0
    again = crowd(till, 2)
    await turns(till)
    assert len(provider.plays) == 4
    provider.plays[3].answer()
    assert await done(*again) == [None, None]


# --- clients that leave ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leads", [False, True], ids=["whole leads", "stream leads"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole waits", "stream waits"])
@pytest.mark.parametrize("begun", [False, True], ids=["before the first chunk", "in the middle"])
async def test_when_a_waiters_client_leaves_only_it_ends(build: Build, *, leads: bool, stream: bool, begun: bool):
    till, provider = await stage(build)
    first = ask(till, stream=leads)
    await turns(till)
    leaving, staying = ask(till, stream=stream), ask(till, stream=stream)
    await turns(till)
    if begun:
        provider.plays[0].say("zero ")
        await turns(till)
    leaving.task.cancel()
    await turns(till)
    provider.plays[0].answer()
    left, *found = await done(leaving, first, staying)
    assert isinstance(left, asyncio.CancelledError)
    assert found == [None, None]
    assert staying.text == first.text
    assert len(provider.plays) == 1
    row = (await rows_of(till, leaving))[0]
    assert (row["status"], row["error_code"], row["hold_state"], row["cost_nanousd"]) == (
        499,
        "client_closed",
        "none",
        0,
    )


class Departing:
    """A request through the endpoint, whose client can leave."""

    def __init__(self, till: Till, *, stream: bool, prompt: str = "the same") -> None:
        self.till = till
        self.arrival = till.arrival()
        self.client = Client(body(stream=stream, prompt=prompt))
        self.task = asyncio.create_task(till.serve(self.arrival, stream=stream, client=self.client))

    async def leave(self) -> None:
        self.client.gone.set()
        await asyncio.sleep(0.05)  # clients are watched after 20 ms

    async def row(self) -> tuple[object, ...]:
        await self.till.bank.flush()
        [row] = await self.till.database.fetch(
            "SELECT status, hold_state, charged_mc FROM requests WHERE request_id = $1", self.arrival.request_id
        )
        return tuple(row)


@pytest.mark.parametrize("leads", [False, True], ids=["whole leads", "stream leads"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole waits", "stream waits"])
@pytest.mark.parametrize("begun", [False, True], ids=["before the first chunk", "in the middle"])
async def test_when_the_leaders_client_leaves_who_waits_does_not_notice(
    build: Build, *, leads: bool, stream: bool, begun: bool
):
    till, provider = await stage(build)
    leader = Departing(till, stream=leads)
    await turns(till)
    waiting = ask(till, stream=stream)
    await turns(till)
    play = provider.plays[0]
    play.cues.put_nowait([head()])
    if begun:
        play.say("one ")
    await asyncio.sleep(0.03)
    await leader.leave()
    assert not leader.task.done()
    assert not play.stopped
    if not begun:
        play.say("one ")
    play.say("two ", "three")
    play.end()
    assert await done(waiting) == [None]
    await leader.task
    assert (waiting.text, waiting.shared, len(provider.plays)) == (TEXT, True, 1)
    assert await leader.row() == (200, "settled", 10 * (11 + 7))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_when_the_last_who_waits_leaves_after_the_leader_the_call_ends(build: Build, *, stream: bool):
    till, provider = await stage(build)
    leader = Departing(till, stream=stream)
    await turns(till)
    waiting, waiting_too = Departing(till, stream=stream), Departing(till, stream=stream)
    await turns(till)
    provider.plays[0].say("one ")
    await asyncio.sleep(0.03)
    await leader.leave()
    await waiting.leave()
    assert waiting.task.done()
    assert not leader.task.done()
    await waiting_too.leave()
    assert leader.task.done()
    assert provider.plays[0].stopped
    assert [(await one.row())[0] for one in (leader, waiting, waiting_too)] == [499, 499, 499]


async def test_a_leader_whom_nobody_waits_for_is_cancelled_when_its_client_leaves(build: Build):
    till, provider = await stage(build)
    leader = Departing(till, stream=True)
    other = Departing(till, stream=True, prompt="something else")
    await asyncio.sleep(0.03)
    await leader.leave()
    assert leader.task.done()
    assert provider.plays[0].stopped
    assert not other.task.done()
    provider.plays[1].answer()
    await other.task
    assert other.client.sent.endswith(b"data: [DONE]\n\n")


async def test_the_endpoint_sends_who_reads_along_what_the_leaders_client_gets(build: Build):
    till, provider = await stage(build)
    leader, along = Departing(till, stream=True), Departing(till, stream=True)
    await turns(till)
    provider.plays[0].answer()
    await asyncio.gather(leader.task, along.task)
    assert leader.client.sent == along.client.sent
    assert leader.client.sent.count(b"data: ") == 6


# --- whatever happens -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [asyncio.CancelledError, RuntimeError], ids=["cancelled", "bug"])
@pytest.mark.parametrize("place", ["leads", "waits", "is the heir"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_thrown_wherever_one_waits_the_others_are_answered_and_nothing_is_held(
    build: Build, error: type[BaseException], place: str, *, stream: bool
):
    till, provider = await stage(build)
    failures: list[UpstreamError] = []

    def each(play: Play) -> None:
        play.fail(failures.pop()) if failures else play.answer()

    provider._each = each
    for at in range(1, 40):
        prompt = f"prompt {at}"
        failures[:] = [UpstreamError("it broke")] if place == "is the heir" else []
        before = [] if place == "leads" else [ask(till, stream=not stream, prompt=prompt)]
        await asyncio.sleep(0)
        arrival = till.arrival()
        run = Stepped(_run(till, arrival, prompt, stream=stream), at, error())
        running = asyncio.ensure_future(_awaited(run))
        await asyncio.sleep(0)
        after = [ask(till, stream=way, prompt=prompt) for way in (False, True)]
        own = (await asyncio.gather(running, return_exceptions=True))[0]
        assert isinstance(own, error) if run.hit else own is None or isinstance(own, UpstreamError)
        found = await done(*before, *after)
        told = [(one, raised) for one, raised in zip([*before, *after], found, strict=True) if raised is not None]
        for one, raised in told:  # only who leads and fails, or has read along with who was stopped
            assert isinstance(raised, UpstreamInterrupted if one.stream and one.said else UpstreamError)
        assert len(told) <= (2 if place == "is the heir" else 1)
        assert all(one.text == TEXT for one in (*before, *after) if one not in [failed for failed, _ in told])
        assert under_way(till) == 0
        await till.check(arrival, within=f"place {at}")
        if not run.hit:
            assert at > (1 if place == "waits" else 4)
            return
    raise AssertionError("it never ran through")


async def _awaited(run: "Stepped[None]") -> None:
    await run


async def _run(till: Till, arrival: Arrival, prompt: str, *, stream: bool) -> None:
    inspection = till.pipeline.inspect(body(stream=stream, prompt=prompt), arrival)
    if not stream:
        await till.pipeline.complete(arrival, inspection)
        return
    opened = await till.pipeline.open(arrival, inspection)
    try:
        async for _ in opened.batches:
            await asyncio.sleep(0)
    finally:
        await opened.batches.aclose()
