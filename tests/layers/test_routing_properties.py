"""Routing, whatever is asked of whatever is there: never an incapable model, the same answer to the same question."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from models_made_up import ABLE, choose, deployment
from neuralrouting.catalog import Capabilities, Deployment
from neuralrouting.errors import NoCapableModel, UnknownModel
from neuralrouting.exchange import Odds, Route
from neuralrouting.layers.routing import NO_ADVICE, NO_WISH, Ask, Stay, Wish, blended, incapable
from neuralrouting.providers.speeds import Speeds

flags = st.booleans()
capabilities = st.one_of(st.just(ABLE), st.builds(Capabilities, flags, flags, flags, flags, flags, flags))
deployments = st.lists(
    st.builds(
        deployment,
        st.sampled_from("abcdefgh"),
        st.sampled_from(["economy", "fast", "medium", "premium"]),
        st.none() | st.sampled_from([0.0, 0.1, 0.5, 1.0, 9.0]),
        provider=st.sampled_from(["here", "there"]),
        can=capabilities,
        context_tokens=st.sampled_from([600, 4_000, 100_000]),
        quality=st.none() | st.floats(0, 1),
        simulated=flags,
    ),
    unique_by=lambda d: d.id,
    max_size=10,
)
asks = st.builds(
    Ask,
    st.sampled_from([None, "auto", "a", "b", "here/c", "simulated/d"]),
    st.sampled_from(["auto", "cost", "quality", "speed"]),
    st.integers(0, 200_000) | st.integers(0, 100),
    st.none() | st.integers(1, 100_000),
    st.integers(1, 30),
    flags, flags, flags, st.sampled_from(["none", "object", "schema"]), flags, flags,
    st.integers(0, 100).map(lambda tenths: tenths / 10), st.sampled_from([None, "medical", "legal", NO_ADVICE]),
    st.sampled_from([-1.0, 0.84, 0.85, 1.0]),
)  # fmt: skip
measured = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 10**6), st.integers(1, 10**6)), max_size=5)


EVIDENCE = (
    (None, "unproven", None), (True, "proven", 0.01), (True, "predicted", -0.01), (False, "refused", -0.2),
    (True, "reference", None),
)  # fmt: skip
ids = st.builds("{}/{}".format, st.sampled_from(["here", "there", "simulated"]), st.sampled_from("abcdefgh"))
evidence = st.dictionaries(ids, st.sampled_from(EVIDENCE), max_size=12).map(
    lambda told: [Odds(name, enough, basis, expected, n=30) for name, (enough, basis, expected) in told.items()]
)
stays = st.builds(
    Stay,
    ids,
    st.sampled_from(["auto", "cost", "quality", "speed"]),
    st.integers(0, 200_000),
    st.integers(0, 5_000),
    tool_loop=flags,
)
names_wished = st.lists(st.sampled_from(["a", "b", "here/c", "ghost"]), max_size=3, unique=True).map(tuple)
tiers = st.none() | st.sampled_from(["economy", "fast", "medium", "premium"])
wishes = st.builds(Wish, names_wished, tiers, flags, st.none() | stays)


def speeds_of(samples: list[tuple[str, int, int]]) -> Speeds:
    speeds = Speeds()
    for name, ttft_us, generation_us in samples:
        speeds.learn(f"here/{name}", ttft_us, 100, generation_us)
        speeds.cool(f"there/{name}", 10.0)
    return speeds


def outcome(
    ask: Ask, pool: list[Deployment], speeds: Speeds, odds: Sequence[Odds] = (), wish: Wish = NO_WISH
) -> Route | None:
    try:
        return choose(ask, *pool, speeds=speeds, now_s=5.0, odds=odds, wish=wish)
    except (NoCapableModel, UnknownModel):
        return None


@given(asks, deployments, measured, evidence, wishes)
def test_no_candidate_is_ever_incapable_or_out_of_the_callers_reach(
    ask: Ask, pool: list[Deployment], samples: list[tuple[str, int, int]], odds: list[Odds], wish: Wish
):
    route = outcome(ask, pool, speeds_of(samples), odds, wish)
    if route is None:
        return
    assert route.candidates
    assert len({d.id for d in route.candidates}) == len(route.candidates)
    assert len({d.simulated for d in route.candidates}) == 1
    for candidate in route.candidates:
        assert incapable(candidate, ask) is None
        assert ask.live or candidate.simulated


@given(asks, deployments, measured, evidence, wishes, st.randoms(use_true_random=False))
def test_the_same_question_has_the_same_answer_in_whatever_order_the_catalog_is(
    ask: Ask,
    pool: list[Deployment],
    samples: list[tuple[str, int, int]],
    odds: list[Odds],
    wish: Wish,
    random: object,
):
    shuffled = list(pool)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first = outcome(ask, pool, speeds_of(samples), odds, wish)
    assert first == outcome(ask, shuffled, speeds_of(samples), odds, wish)


@given(asks, deployments, evidence, wishes)
def test_all_that_were_looked_at_are_told_once_and_only_the_first_lost_by_nothing(
    ask: Ask, pool: list[Deployment], odds: list[Odds], wish: Wish
):
    route = outcome(ask, pool, Speeds(), odds, wish)
    if route is None:
        return
    told = [one.deployment for one in route.considered]
    assert len(told) == len(set(told))
    assert told[: len(route.candidates)] == [d.id for d in route.candidates]
    assert [one.deployment for one in route.considered if one.lost is None] == [route.candidates[0].id]
    if ask.model in (None, "auto") and not wish.models:
        assert set(told) == {d.id for d in pool if ask.live or d.simulated}


@given(asks, deployments, evidence)
def test_auto_never_begins_with_a_dearer_model_than_one_of_which_as_much_is_known(
    ask: Ask, pool: list[Deployment], odds: list[Odds]
):
    ask = msgspec.structs.replace(ask, model="auto", mode="auto")
    route = outcome(ask, pool, Speeds(), odds)
    if route is None:
        return
    known, rank = {one.deployment: one for one in odds}, ["economy", "fast", "medium", "premium"].index
    first = route.candidates[0]
    mine = known.get(first.id)
    if not _is_good(first, mine, ask):
        return  # nobody is good enough, and then the dearest is asked
    for other in route.candidates[1:]:
        theirs = known.get(other.id)
        same_evidence = (theirs and (theirs.enough, theirs.basis)) == (mine and (mine.enough, mine.basis))
        if same_evidence and rank(other.tier) >= rank(first.tier):
            assert blended(other.price) >= blended(first.price)


def _is_good(first: Deployment, known: Odds | None, ask: Ask) -> bool:
    """Whether a model is good enough by what is known of it, or by the highest of tiers."""
    if known is not None and known.basis == "refused":
        return False
    return first.tier == "premium" or (known is not None and known.enough is True and ask.complexity <= 6)


@given(asks, deployments, evidence, stays)
def test_a_tool_loop_never_moves_while_its_model_can_serve(
    ask: Ask, pool: list[Deployment], odds: list[Odds], stay: Stay
):
    stay = msgspec.structs.replace(stay, tool_loop=True, mode=ask.mode)
    ask = msgspec.structs.replace(ask, model="auto")
    before, route = outcome(ask, pool, Speeds(), odds), outcome(ask, pool, Speeds(), odds, Wish(stay=stay))
    if before is None or route is None:
        assert before is route
    elif stay.deployment in {d.id for d in before.candidates}:
        assert route.candidates[0].id == stay.deployment
    else:
        assert route.candidates == before.candidates


@given(asks, deployments, evidence)
def test_what_was_refused_never_goes_before_anything_else_in_auto(ask: Ask, pool: list[Deployment], odds: list[Odds]):
    ask = msgspec.structs.replace(ask, model="auto", mode="auto")
    route = outcome(ask, pool, Speeds(), odds)
    refused = {one.deployment for one in odds if one.basis == "refused"}
    marks = [d.id in refused for d in route.candidates] if route is not None else []
    assert marks == sorted(marks)


@given(asks, deployments)
def test_auto_asks_a_premium_model_about_what_is_hard_wherever_one_can_serve(ask: Ask, pool: list[Deployment]):
    ask = msgspec.structs.replace(ask, model="auto", mode="auto", complexity=6.1)
    route = outcome(ask, pool, Speeds())
    able = [d for d in pool if incapable(d, ask) is None and (ask.live or d.simulated)]
    tiers = {d.tier for d in able}
    assert route is None or (route.candidates[0].tier == "premium") == ("premium" in tiers)


@given(asks, deployments)
def test_cost_is_never_dearer_than_another_that_could_have_served(ask: Ask, pool: list[Deployment]):
    ask = Ask("auto", "cost", *[getattr(ask, name) for name in Ask.__struct_fields__[2:]])
    route = outcome(ask, pool, Speeds())
    able = [d for d in pool if incapable(d, ask) is None and (ask.live or d.simulated)]
    assert (route is None) == (not able)
    if route is not None:
        assert blended(route.candidates[0].price) == min(blended(d.price) for d in able)
