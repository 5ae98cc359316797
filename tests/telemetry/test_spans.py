"""`traceparent` as W3C Trace Context says, and nothing else."""

import pytest

from neuralrouting.telemetry.spans import Parent, parent_of, trace_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False), ("03", True), ("02", False)])
def test_a_parent_says_whether_it_is_traced(flags: str, *, sampled: bool):
    assert parent_of(f"00-{TRACE}-{SPAN}-{flags}") == Parent(int(TRACE, 16), int(SPAN, 16), sampled)


def test_a_later_version_may_bring_more():
    assert parent_of(f"01-{TRACE}-{SPAN}-01-more") is not None
    assert trace_of(f"cc-{TRACE}-{SPAN}-01") == TRACE


@pytest.mark.parametrize(
    "header",
    [
        None, "", "00", f"00-{TRACE}-{SPAN}", f"00-{TRACE}-{SPAN}-01-more", f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01", f" 00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01\n",
    ],
)  # fmt: skip
def test_what_is_not_valid_is_no_parent(header: str | None):
    assert parent_of(header) is None
