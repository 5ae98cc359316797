"""What a stream said is enough to bill it and to store it, however it was cut."""

from neuralrouting.providers.tally import Tally


def chunk(delta: dict, finish: str | None = None, **more: object) -> dict:
    return {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def test_content_is_put_together_again():
    tally = Tally(5)
    tally.see([chunk({"role": "assistant", "content": "Hel"}), chunk({"content": "lo"}), chunk({}, "stop")])
    message = tally.completion()["choices"][0]
    assert (message["message"]["content"], message["finish_reason"]) == ("Hello", "stop")
    assert tally.plain


def test_the_last_usage_counts_and_is_never_added():
    tally = Tally(5)
    for completion in (1, 2, 3):
        tally.see([{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": completion}}])
    assert (tally.usage().prompt_tokens, tally.usage().completion_tokens) == (9, 3)


def test_usage_that_was_never_told_is_estimated_and_says_so():
    tally = Tally(5)
    tally.see([chunk({"content": "one two three four"})])
    assert tally.usage().source == "estimated"
    assert tally.usage().prompt_tokens == 5
    assert 2 <= tally.usage().completion_tokens <= 8


def test_what_came_after_the_last_usage_of_a_stream_that_broke_is_added():
    tally = Tally(5)
    tally.see([chunk({"content": "a"}, usage={"prompt_tokens": 9, "completion_tokens": 1})])
    assert (tally.usage().completion_tokens, tally.usage().source) == (1, "provider")
    tally.see([chunk({"content": " one two three"})])
    assert (tally.usage().prompt_tokens, tally.usage().completion_tokens) == (9, 4)
    assert tally.usage().source == "estimated"


def test_an_explicit_zero_stays_zero():
    tally = Tally(5)
    tally.see([chunk({"content": "x"}), {"choices": [], "usage": {"prompt_tokens": 0, "completion_tokens": 0}}])
    assert (tally.usage().completion_tokens, tally.usage().source) == (0, "provider")


def test_instead_of_a_lying_usage_our_own_count_is_taken_and_says_so():
    tally = Tally(5)
    tally.see([chunk({"content": "x"}), {"choices": [], "usage": {"prompt_tokens": -4, "completion_tokens": 10**15}}])
    usage = tally.usage()
    assert (usage.prompt_tokens, usage.completion_tokens, usage.source) == (5, 1, "capped")


def test_tool_calls_are_billed_but_make_the_answer_unfit_for_the_cache():
    tally = Tally(5)
    fragment = {"index": 0, "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}
    tally.see([chunk({"tool_calls": [fragment]}), chunk({}, "tool_calls")])
    assert not tally.plain
    assert tally.usage().completion_tokens >= 5
