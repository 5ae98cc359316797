"""What holds for every course of requests: the native limits agree with a few lines of Python."""

from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from neuralrouting.engine import Limits, Permit, Refusal

limit = st.none() | st.integers(0, 6)
subject = st.sampled_from(["account/a", "account/b", "key/ü", ""])
asked = st.lists(st.tuples(subject, limit, limit), max_size=3, unique_by=lambda ask: ask[0])


@given(
    courses=st.lists(st.tuples(asked, st.booleans()), max_size=30),
    workers=st.integers(1, 3),
)
def test_within_a_minute_requests_and_places_are_counted_like_in_a_table(
    courses: list[tuple[list[tuple[str, int | None, int | None]], bool]], workers: int
):
    with TemporaryDirectory() as directory:
        team = [Limits(directory) for _ in range(workers)]
        requests: dict[str, int] = {}
        places: dict[str, int] = {}
        staying: list[Permit] = []
        for nth, (asks, stays) in enumerate(courses):
            fits = all(
                (per_minute is None or requests.get(name, 0) < per_minute)
                and (parallel is None or places.get(name, 0) < parallel)
                for name, per_minute, parallel in asks
            )
            answer = team[nth % workers].enter(asks)
            assert isinstance(answer, Permit) == fits
            if isinstance(answer, Refusal):
                assert (answer.retry_after_ms is None) == (answer.allowed == 0)
                continue
            left = [per_minute - requests.get(name, 0) - 1 for name, per_minute, _ in asks if per_minute is not None]
            assert answer.remaining_requests == min(left, default=None)
            for name, per_minute, parallel in asks:
                requests[name] = requests.get(name, 0) + (per_minute is not None)
                places[name] = places.get(name, 0) + (stays and parallel is not None)
            if stays:
                staying.append(answer)
            else:
                answer.leave()


@given(
    takes=st.lists(st.tuples(st.integers(0, 50), st.none() | st.integers(0, 80)), max_size=20),
    per_minute=st.integers(1, 200),
)
def test_within_a_minute_tokens_are_counted_like_in_a_table(takes: list[tuple[int, int | None]], per_minute: int):
    with TemporaryDirectory() as directory:
        limits, used = Limits(directory), 0
        for tokens, settled in takes:
            permit = limits.enter([])
            assert isinstance(permit, Permit)
            refusal = limits.take_tokens(permit, [("account/a", per_minute)], tokens)
            assert (refusal is None) == (used + tokens <= per_minute)
            if refusal is None:
                assert permit.remaining_tokens == per_minute - used - tokens
                used += tokens if settled is None else settled
            permit.leave(settled)
