"""Scripts of what moves credits beside usage: top-ups, refunds, adjustments, and the month's credits of a plan."""

import re
from typing import Final

import msgspec

from neuralrouting.errors import AlreadyExists, InsufficientCredits, InvalidField, NotFound
from neuralrouting.storage.database import Dialect, RowError, Script, ask, run
from neuralrouting.storage.dialect import NOW_MS
from neuralrouting.storage.ledger import COLUMNS, INSERT_LEDGER, Draft, Entry, Kind, entry_of
from neuralrouting.storage.purses import Credits
from neuralrouting.storage.trail import Actor, Change, record
from neuralrouting.storage.turning import open_accounts
from neuralrouting.storage.turns import credits_purse

MOST_MC: Final = 10**15
"""Most millicredits that one entry moves: 10^12 credits, far from what a 64-bit sum can hold."""

_PERIOD: Final = re.compile(r"\d{4}-\d{2}")
_FIND: Final = f"SELECT {COLUMNS} FROM ledger WHERE account_id = $1 AND kind = $2 AND ref = $3"  # noqa: S608


class Transfer(msgspec.Struct, frozen=True):
    """Credits that an operator moves, in millicredits; `ref` makes it happen once."""

    account_id: str
    mc: int
    ref: str
    actor: Actor
    reason: str


def transfer(dialect: Dialect, kind: Kind, wanted: Transfer) -> Script[Entry]:
    """Append one entry, or find it where it was appended before; `wanted.mc` is what the account gets."""
    account = yield from _open(dialect, wanted.account_id)
    ref = _kept(wanted.ref)
    before = yield ask(_FIND, wanted.account_id, kind, ref)
    if before:
        return _same(entry_of(before[0]), wanted.mc)
    if account.free + wanted.mc < 0:
        raise _too_little(account, -wanted.mc)
    [(now_ms,)] = yield ask(f"SELECT {NOW_MS[dialect]}")
    row = account.post(Draft(kind, ref, wanted.mc, actor=_kept(wanted.actor), reason=_kept(wanted.reason)), now_ms)
    yield run(INSERT_LEDGER, [row])
    yield run(Credits.UPDATE, [account.row()])
    entry = entry_of(row)
    told = {"millicredits": wanted.mc, "ledger_seq": entry.seq, "reason": entry.reason}
    yield from record(dialect, Change(wanted.account_id, wanted.actor, f"credits.{kind}", ref, None, told))
    return entry


def renew(dialect: Dialect, account_id: str, period: str, monthly_mc: int | None) -> Script[bool]:
    """Let what is left of the last month's grant expire, then grant; False when there is nothing to grant any more.

    A plan with more credits than were granted this month (the account has changed to it) brings the difference.
    """
    account = yield from _open(dialect, account_id)
    monthly = monthly_mc or 0
    if account.period > period or (account.period == period and account.granted >= monthly):
        return False
    [(now_ms,)] = yield ask(f"SELECT {NOW_MS[dialect]}")
    drafts: list[Draft] = []
    if account.period < period:
        left = min(account.grant, account.free)  # what workers have leased may be spent still
        if left:
            drafts.append(Draft("expiry", f"plan/{period}", -left))
        account.grant = account.granted = 0
    more = monthly - account.granted
    if more:
        ref = f"plan/{period}" if not account.granted else f"plan/{period}/{monthly}"
        drafts.append(Draft("grant", ref, more))
    rows = [account.post(draft, now_ms) for draft in drafts]
    account.grant += more
    account.granted = monthly
    account.period = period
    yield run(INSERT_LEDGER, rows)
    yield run(Credits.UPDATE, [account.row()])
    return True


def check_amount(mc: int) -> None:
    """Raise InvalidField for an amount that cannot be moved."""
    if not 0 < mc <= MOST_MC:
        raise InvalidField(f"an amount is more than 0 and at most {MOST_MC} millicredits", param="amount_mc")


def check_period(period: str) -> None:
    """Raise InvalidField for anything but a month such as '2026-11'."""
    if _PERIOD.fullmatch(period) is None:
        raise InvalidField("a period is a month such as 2026-11", param="period")


def _open(dialect: Dialect, account_id: str) -> Script[Credits]:
    try:
        [account] = yield from open_accounts(dialect, [credits_purse(account_id)], {})
    except RowError:
        raise NotFound(f"there is no account {account_id}", param="account_id") from None
    return account


def _same(entry: Entry, mc: int) -> Entry:
    if entry.delta_mc != mc:
        raise AlreadyExists(
            f"the reference {entry.ref} was used for a {entry.kind} of {entry.delta_mc} millicredits already; "
            "use another one for another amount",
            code="reference_used",
            param="ref",
        )
    return entry


def _too_little(account: Credits, mc: int) -> InsufficientCredits:
    facts = {"required_mc": mc, "available_mc": account.free}
    return InsufficientCredits(
        f"the account has {account.free} millicredits that are neither spent nor held, not {mc}", facts
    )


def _kept(text: str) -> str:
    """Write NUL, which PostgreSQL has not, as it will be read again: the hash is over what is kept."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
