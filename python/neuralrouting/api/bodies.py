"""Bodies of changes: read strictly, so that a field that is misspelt is told and never passed over."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

import msgspec
from starlette.requests import Request

from neuralrouting.errors import InvalidField, MalformedBody
from neuralrouting.exchange import BudgetAction, BudgetPeriod, BudgetScope, Mode, Role, ShieldMode

_Body = TypeVar("_Body", bound=msgspec.Struct)
_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]+)`$")
_FIELD = re.compile(r"field `(?P<name>[^`]*)`")
_DECIMAL = re.compile(r"(?P<sign>-?)(?P<whole>\d{1,12})(?:\.(?P<rest>\d+))?")
USD_PLACES = 9
CREDIT_PLACES = 3


class NewAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/admin/accounts`. Left out: the id as the name, the configured plan."""

    id: str
    name: str | None = None
    plan: str | None = None


class AccountChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PATCH /v1/admin/accounts/{id}`; None stays as it is."""

    name: str | None = None
    plan: str | None = None


class CreditChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/admin/accounts/{id}/credits`: `credits` is a decimal text, negative where an adjustment takes away."""

    kind: Literal["topup", "refund", "adjustment"]
    credits: str
    ref: str
    reason: str


class NewKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/admin/accounts/{id}/keys`. Limits are of this key alone, null is none."""

    name: str = ""
    live: bool = True
    role: Role = "member"
    shield_mode: ShieldMode | None = None
    team: str | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel: int | None = None
    routing_mode: Mode | None = None


class KeyChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PATCH /v1/admin/keys/{id}`: what is not told stays as it is, null takes a limit, team or mode away."""

    role: Role | msgspec.UnsetType = msgspec.UNSET
    shield_mode: ShieldMode | msgspec.UnsetType | None = msgspec.UNSET
    team: str | msgspec.UnsetType | None = msgspec.UNSET
    requests_per_minute: int | msgspec.UnsetType | None = msgspec.UNSET
    tokens_per_minute: int | msgspec.UnsetType | None = msgspec.UNSET
    parallel: int | msgspec.UnsetType | None = msgspec.UNSET
    routing_mode: Mode | msgspec.UnsetType | None = msgspec.UNSET


class PlanBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /v1/admin/plans/{id}`. `monthly_credits` is a decimal text, null: credits are not counted."""

    name: str
    price_cents: int
    monthly_credits: str | None
    modes: tuple[Mode, ...]
    force_model: bool
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    parallel: int | None = None


class BudgetBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/budgets` and `PUT /v1/budgets/{id}`; `limit_usd` is a decimal text."""

    name: str
    scope: BudgetScope
    period: BudgetPeriod
    limit_usd: str
    action: BudgetAction
    subject: str = ""
    warn_percent: int = 80


class JudgementBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/cache/judgements`: `entry`, kind and similarity are those that `x-nr-cache` told of the hit.

    Without a similarity a wrong answer goes, and its scope learns nothing.
    """

    entry: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    agreed: bool
    kind: Literal["exact", "canonical", "semantic"] = "semantic"
    similarity: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class FeedbackBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/feedback`: what somebody says of an answer, as a score from -1 to 1 or as a thumb, one of the two."""

    request_id: str
    score: Annotated[float, msgspec.Meta(ge=-1, le=1)] | None = None
    thumbs: Literal["up", "down"] | None = None
    comment: str | None = None


class VerdictBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /v1/shadow/audits/{id}/verdict`: how the candidate did by a person's judgement; null takes it back."""

    verdict: Literal["win", "tie", "lose"] | None


class RoutingRulesBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /v1/routing/rules`: `rules` is the YAML text, empty takes them back."""

    rules: str


class RoutingSettingsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`PUT /v1/routing/settings`: all three of them, so that none is taken back by being left out.

    `mode` and `cascade` null: as the gateway is configured.
    """

    mode: Mode | None
    cascade: bool | None
    shadow: bool


class DryRunBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """`POST /v1/routing/rules/dry-run`: rules, and the range of requests, as `/v1/usage` takes it."""

    rules: str
    from_: str | int | None = None
    to: str | int | None = None


async def body_of(request: Request, kind: type[_Body]) -> _Body:
    """Read a JSON body. Raises MalformedBody where it is none, InvalidField where it is not as it should be."""
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedBody(f"the body is not JSON: {error}") from None


def form_of(fields: Mapping[str, str], kind: type[_Body]) -> _Body:
    """Read the fields of a form as a body: numbers are texts there. Raises InvalidField."""
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind) from None


def amount(text: str, places: int, param: str) -> int:
    """Read a decimal text as whole units of its last place, exactly. Raises InvalidField."""
    found = _DECIMAL.fullmatch(text)
    rest = (found["rest"] or "") if found is not None else ""
    if found is None or not text.isascii() or len(rest) > places:
        raise InvalidField(f'`{param}` must be a decimal text with up to {places} decimals: "12.5"', param=param)
    units = int(found["whole"]) * 10**places + int(rest.ljust(places, "0"))
    return -units if found["sign"] else units


def line(value: str, param: str, most: int) -> str:
    """Return one printable line. Raises InvalidField for anything else."""
    if not value.strip() or len(value) > most or not value.isprintable():
        raise InvalidField(f"`{param}` must be one printable line of 1 to {most} characters", param=param)
    return value


def _invalid(message: str, kind: type[msgspec.Struct]) -> InvalidField:
    """Turn msgspec's message into ours: it names the path of a wrong value, and a field that is missing or unknown."""
    path, field = _PATH.search(message), _FIELD.search(message)
    param = path["path"] if path is not None else field["name"] if field is not None else None
    told = _PATH.sub("", message)
    if field is not None and "unknown" in message:
        told += f"; allowed: {', '.join(kind.__struct_fields__)}"
    return InvalidField(f"`{param}`: {told}" if path is not None else told, param=param)
