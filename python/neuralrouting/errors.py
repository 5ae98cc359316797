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
│   ├── NotFound               404
│   └── MethodNotAllowed       405
├── AuthenticationError        401   invalid_api_key
├── PermissionDenied           403
├── Unavailable                503   the gateway itself cannot serve just now
└── UpstreamError              502   a provider failed; `failover` says whether another may be tried
    ├── UpstreamUnreachable    502
    ├── UpstreamTimeout        504
    ├── UpstreamBadResponse    502
    ├── UpstreamInterrupted    502   after the first byte: told inside the stream
    ├── UpstreamAuth           502   provider_auth: our key is bad, which is no fault of the client
    ├── UpstreamRateLimited    429
    ├── UpstreamOverloaded     503
    ├── UpstreamRefused        400   content_filter: another model is not asked to get round a refusal
    └── UpstreamRejected       4xx   the provider found the request wrong
"""

from typing import Any, ClassVar


class NeuralRoutingError(Exception):
    """Root of the tree. `message` is written for the person who reads it: what was wrong and what to do."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: str | None = None

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


class Unavailable(NeuralRoutingError):
    """The gateway itself cannot serve just now."""

    status = 503
    code = "unavailable"


class UpstreamError(NeuralRoutingError):
    """A provider failed.

    `failover`: may the next capable model be tried? `retry`: may the same one, when there is no other?
    `cooldown_s`: how long to prefer others afterwards.
    `provider_status`: the status the provider answered with, where it answered at all.
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


class UpstreamRefused(UpstreamError):
    """The provider's own content policy refused the prompt."""

    status = 400
    type = "invalid_request_error"
    code = "content_filter"
    failover = False
    retry = False
    cooldown_s = 0.0


class UpstreamRejected(UpstreamError):
    """The provider found the request wrong (400, 404, 413, 415, 422): our catalog or the client's parameters."""

    status = 400
    type = "invalid_request_error"
    code = "upstream_rejected"
    failover = False
    retry = False
    cooldown_s = 0.0
