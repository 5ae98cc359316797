"""Every way the gateway says no; each error knows its HTTP status, OpenAI `type`, `code` and `param`.

NeuralRoutingError
├── ConfigError                      start-up only, never on the wire
├── RequestError               400   the client can mend it
│   ├── MalformedBody          400   malformed_json and kin
│   ├── InvalidField           422   one field is wrong; `param` names it
│   ├── BodyTooLarge           413
│   ├── UnsupportedEncoding    415
│   ├── UnknownModel           404   model_not_found
│   ├── NoCapableModel         400   no model here can serve such a request
│   ├── ShieldBlocked          403   shield_blocked: the prompt looks like an attack
│   ├── IdempotencyMismatch    422   idempotency_mismatch: the key came with another body before
│   ├── IdempotencyInFlight    409   idempotency_in_flight: its first answer is still being made
│   ├── AlreadyExists          409   already_exists, in_use, reference_used: what is there stands in the way
│   ├── NotFound               404
│   └── MethodNotAllowed       405
├── AuthenticationError        401   invalid_api_key
├── PermissionDenied           403   permission_denied: the key's role does not allow it; rule_blocked: a rule does
│   └── PlanRequired           403   plan_required: the account's plan does not allow it
├── PaymentRequired            402
│   ├── InsufficientCredits    402   insufficient_credits
│   └── BudgetExceeded         402   budget_exceeded
├── RateLimited                429   rate_limited: requests, tokens or parallel requests of the plan or key
├── Unavailable                503   the gateway itself cannot serve just now
└── UpstreamError              502   a provider failed; `failover` says whether another may be tried
    ├── UpstreamUnreachable    502
    ├── UpstreamTimeout        504
    ├── UpstreamBadResponse    502
    ├── UpstreamInterrupted    502   after the first byte: told inside the stream
    ├── UpstreamAuth           502   provider_auth: our key is bad, which is no fault of the client
    ├── UpstreamRateLimited    429
    ├── UpstreamOverloaded     503
    └── UpstreamRejected       4xx   the provider found the request wrong
        └── UpstreamRefused    400   content_filter: another model is not asked to get round a refusal
"""

from typing import Any, ClassVar


class NeuralRoutingError(Exception):
    """Root of the tree. `message` is written for the person who reads it: what was wrong and what to do."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: str | None = None
    should_retry: bool | None = None
    """What the official clients are told about trying again, where their own rule would be wrong."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        if code is not None:
            self.code = code

    def envelope(self) -> dict[str, dict[str, Any]]:
        """OpenAI's error body, always with all four keys."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class ConfigError(NeuralRoutingError):
    """The configuration cannot be used; raised at start-up and by `neuralrouting config check`."""


class RequestError(NeuralRoutingError):
    """The request is wrong in a way its sender can mend."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"


class MalformedBody(RequestError):
    """The body is not the JSON we accept: syntax, depth, duplicate keys, encoding."""

    code = "malformed_json"


class InvalidField(RequestError):
    """One field has a wrong type or value; `param` names it."""

    status = 422
    code = "invalid_field"


class BodyTooLarge(RequestError):
    """The body is over the limit."""

    status = 413
    code = "body_too_large"


class UnsupportedEncoding(RequestError):
    """The body has a Content-Encoding we do not undo."""

    status = 415
    code = "unsupported_encoding"


class UnknownModel(RequestError):
    """No such model in the catalog."""

    status = 404
    type = "not_found_error"
    code = "model_not_found"


class NoCapableModel(RequestError):
    """Models exist, but none of them can serve this request (context, tools, vision, JSON mode, key kind)."""

    code = "no_capable_model"


class ShieldBlocked(RequestError):
    """The shield blocked the request.

    `category` is the tier of the strongest hit, `risk_score` is from 0 to 1, `rules` are the ids of those that fired.
    """

    status = 403
    code = "shield_blocked"
    should_retry = False
    summary: ClassVar[str] = "Request blocked by NeuralRouting Security Shield"

    def __init__(self, category: str, risk_score: float, rules: tuple[str, ...], *, param: str | None = None) -> None:
        super().__init__(
            f"{self.summary}: it looks like an attempt to override its instructions ({category}, risk {risk_score:g}). "
            "If it is none, tell the operator of this gateway the request id.",
            param=param,
        )
        self.category = category
        self.risk_score = risk_score
        self.rules = rules

    def envelope(self) -> dict[str, dict[str, Any]]:
        """OpenAI's error body with the facts of the block beside its four keys."""
        told = super().envelope()["error"]
        facts = {"category": self.category, "risk_score": self.risk_score, "rules": list(self.rules)}
        return {"error": {**told, **facts}}

    def plain(self) -> dict[str, Any]:
        """The body of the native endpoints."""
        return {"error": self.summary, "category": self.category, "risk_score": self.risk_score}


class IdempotencyMismatch(RequestError):
    """The Idempotency-Key was used with another body."""

    status = 422
    code = "idempotency_mismatch"


class IdempotencyInFlight(RequestError):
    """The first request with this Idempotency-Key is still being answered."""

    status = 409
    code = "idempotency_in_flight"


class AlreadyExists(RequestError):
    """What is to be made is there already, or what is to be removed is in use."""

    status = 409
    code = "already_exists"


class NotFound(RequestError):
    """No such path or object."""

    status = 404
    type = "not_found_error"
    code = "not_found"


class MethodNotAllowed(RequestError):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"


class AuthenticationError(NeuralRoutingError):
    """No key, or one we do not know."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"


class PermissionDenied(NeuralRoutingError):
    """The key is known but may not do this."""

    status = 403
    type = "permission_error"
    code = "permission_denied"


class PlanRequired(PermissionDenied):
    """The account's plan does not include this; the message says which plans do."""

    code = "plan_required"


class PaymentRequired(NeuralRoutingError):
    """There is not enough left to pay for the request at its largest.

    `facts` go into the envelope beside its four keys. With `retry_after_s`, what other requests hold may free enough;
    without, trying again cannot help.
    """

    status = 402
    type = "insufficient_quota"

    def __init__(self, message: str, facts: dict[str, Any], *, retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.facts = facts
        self.should_retry = retry_after_s is not None

    def envelope(self) -> dict[str, dict[str, Any]]:
        """OpenAI's error body with what is missing beside its four keys."""
        return {"error": {**super().envelope()["error"], **self.facts}}


class InsufficientCredits(PaymentRequired):
    """The account's credits do not cover the request."""

    code = "insufficient_credits"


class BudgetExceeded(PaymentRequired):
    """A budget that blocks does not cover the request."""

    code = "budget_exceeded"


class RateLimited(NeuralRoutingError):
    """More than the plan or the key allows. `headers` tell the limit that refused, as `x-ratelimit-*`."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limited"

    def __init__(
        self, message: str, headers: tuple[tuple[str, str], ...] = (), *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.headers = headers
        self.should_retry = None if retry_after_s is not None else False


class Unavailable(NeuralRoutingError):
    """The gateway itself cannot serve just now."""

    status = 503
    code = "unavailable"


class UpstreamError(NeuralRoutingError):
    """A provider failed.

    `failover`: may the next capable model be tried? `retry`: may the same one, when there is no other?
    `cooldown_s`: how long to prefer others afterwards. `provider_status`: what the provider answered with, if it did.
    """

    status = 502
    type = "api_error"
    code = "upstream_error"
    failover: ClassVar[bool] = True
    retry: ClassVar[bool] = True
    cooldown_s: ClassVar[float] = 5.0
    provider_status: int | None = None


class UpstreamUnreachable(UpstreamError):
    """Refused, reset, name not found, TLS handshake failed."""

    code = "upstream_unreachable"
    retry = False


class UpstreamTimeout(UpstreamError):
    """No answer, or not a whole one, within the attempt's deadline."""

    status = 504
    code = "upstream_timeout"
    retry = False


class UpstreamBadResponse(UpstreamError):
    """An answer that is not what the protocol says: HTML, broken JSON, an error inside a 200."""

    code = "upstream_bad_response"
    retry = False


class UpstreamInterrupted(UpstreamError):
    """The stream broke after its first byte had gone to the client."""

    code = "upstream_interrupted"
    failover = False
    retry = False


class UpstreamAuth(UpstreamError):
    """The provider refuses the operator's key or its balance."""

    code = "provider_auth"
    retry = False
    cooldown_s = 600.0


class UpstreamRateLimited(UpstreamError):
    """The provider limits us."""

    status = 429
    type = "rate_limit_error"
    code = "upstream_rate_limited"


class UpstreamOverloaded(UpstreamError):
    """The provider says it has too much to do (503, 529)."""

    status = 503
    code = "upstream_overloaded"


class UpstreamRejected(UpstreamError):
    """The provider found the request wrong (400, 404, 413, 415, 422): our catalog or the client's parameters."""

    status = 400
    type = "invalid_request_error"
    code = "upstream_rejected"
    failover = False
    retry = False
    cooldown_s = 0.0


class UpstreamRefused(UpstreamRejected):
    """The provider's own content policy refused the prompt."""

    code = "content_filter"
