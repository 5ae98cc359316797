"""Every refusal of a provider becomes one error of our tree, without its secrets."""

import pytest

from neuralrouting.errors import UpstreamError
from neuralrouting.providers.faults import fault_of

OPENAI = b'{"error":{"message":"%b","type":"%b","code":"%b"}}'


def fault(status: int, message: bytes = b"no", kind: bytes = b"t", code: bytes = b"c") -> UpstreamError:
    return fault_of(status, {}, OPENAI % (message, kind, code), "acme")


@pytest.mark.parametrize(
    ("status", "client_sees", "code", "failover"),
    [
        (401, 502, "provider_auth", True),
        (402, 502, "provider_auth", True),
        (403, 502, "provider_auth", True),
        (404, 400, "upstream_unsupported", True),
        (408, 504, "upstream_timeout", True),
        (400, 400, "upstream_rejected", False),
        (422, 400, "upstream_rejected", False),
        (429, 429, "upstream_rate_limited", True),
        (500, 502, "upstream_error", True),
        (502, 502, "upstream_error", True),
        (503, 503, "upstream_overloaded", True),
        (504, 504, "upstream_timeout", True),
        (529, 503, "upstream_overloaded", True),
        (302, 502, "upstream_error", True),
        (200, 502, "upstream_bad_response", True),
    ],
)
def test_each_status_has_its_meaning(status: int, client_sees: int, code: str, failover: bool):  # noqa: FBT001
    error = fault(status)
    assert (error.status, error.code, error.failover) == (client_sees, code, failover)
    assert error.provider_status == status


def test_a_spent_quota_is_the_operators_trouble_though_it_comes_as_429():
    assert fault(429, kind=b"insufficient_quota").code == "provider_auth"


def test_a_prompt_too_long_for_one_model_may_go_to_another():
    error = fault(400, message=b"This model's maximum context length is 8192 tokens")
    assert (error.code, error.failover) == ("context_length_exceeded", True)


def test_a_content_refusal_is_not_routed_round():
    error = fault(400, code=b"content_filter")
    assert (error.code, error.failover, error.status) == ("content_filter", False, 400)


@pytest.mark.parametrize(
    "secret",
    [b"Bearer abc.def", b"sk-proj-abcdef123456", b"gsk_abcdef123456", b"https://user:pass@inside.example/x"],
)
def test_secrets_and_addresses_do_not_pass(secret: bytes):
    error = fault(400, message=b"bad key " + secret + b" here")
    assert secret.decode() not in error.message


def test_a_page_of_html_is_not_relayed():
    assert "<html>" not in fault_of(500, {}, b"<html>inner host 10.0.0.7</html>", "acme").message


@pytest.mark.parametrize(("told", "kept"), [("7", 7.0), ("-1", None), ("1e9", None), ("soon", None), ("nan", None)])
def test_only_a_sane_retry_after_is_kept(told: str, kept: float | None):
    assert fault_of(429, {"retry-after": told}, b"", "acme").retry_after_s == kept
