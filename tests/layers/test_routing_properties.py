"""Routing, whatever is asked of whatever is there: never an incapable model, the same answer to the same question."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from models_made_up import ABLE, choose, deployment

from neuralrouting.catalog import Capabilities, Deployment
from neuralrouting.errors import NoCapableModel, UnknownModel
from neuralrouting.exchange import Route
from neuralrouting.layers.routing import NO_ADVICE, Ask, blended, incapable
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
)  # fmt: skip
measured = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 10**6), st.integers(1, 10**6)), max_size=5)


def speeds_of(samples: list[tuple[str, int, int]]) -> Speeds:
    speeds = Speeds()
    for name, ttft_us, generation_us in samples:
        speeds.learn(f"here/{name}", ttft_us, 100, generation_us)
        speeds.cool(f"there/{name}", 10.0)
    return speeds


def outcome(ask: Ask, pool: list[Deployment], speeds: Speeds) -> Route | None:
    try:
        return choose(ask, *pool, speeds=speeds, now_s=5.0)
    except (NoCapableModel, UnknownModel):
        return None


@given(asks, deployments, measured)
def test_no_candidate_is_ever_incapable_or_out_of_the_callers_reach(
    ask: Ask, pool: list[Deployment], samples: list[tuple[str, int, int]]
):
    route = outcome(ask, pool, speeds_of(samples))
    if route is None:
        return
    assert route.candidates
    assert len({d.id for d in route.candidates}) == len(route.candidates)
    assert len({d.simulated for d in route.candidates}) == 1
    for candidate in route.candidates:
        assert incapable(candidate, ask) is None
        assert ask.live or candidate.simulated


@given(asks, deployments, measured, st.randoms(use_true_random=False))
def test_the_same_question_has_the_same_answer_in_whatever_order_the_catalog_is(
    ask: Ask, pool: list[Deployment], samples: list[tuple[str, int, int]], random: object
):
    shuffled = list(pool)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first, again = outcome(ask, pool, speeds_of(samples)), outcome(ask, shuffled, speeds_of(samples))
    assert first == again


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
