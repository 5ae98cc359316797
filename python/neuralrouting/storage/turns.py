"""What a worker tells the money store and hears from it, one transaction at a time."""

import msgspec

from neuralrouting.storage.requests import RequestRow


def credits_purse(account_id: str) -> str:
    """Name the purse that holds an account's credits, in millicredits."""
    return f"credits/{account_id}"


def budget_purse(budget_id: str, epoch_ms: int, subject: str) -> str:
    """Name the purse that holds what is left of a budget in the period that began at `epoch_ms`, in nano-dollars.

    NUL, which PostgreSQL has not, is replaced: a purse has one name everywhere.
    """
    return f"budget/{budget_id}/{epoch_ms}/{subject}".replace("\0", "\N{REPLACEMENT CHARACTER}")


def account_of(purse: str) -> str | None:
    """Return the account whose credits a purse holds; None for a budget's."""
    kind, _, account_id = purse.partition("/")
    return account_id if kind == "credits" else None


def window_of(purse: str) -> tuple[str, int, str] | None:
    """Return budget, beginning and subject of a budget's purse; None for one that is no budget's."""
    kind, _, rest = purse.partition("/")
    budget_id, _, window = rest.partition("/")
    epoch_ms, slash, subject = window.partition("/")
    if kind != "budget" or not slash or not (epoch_ms.isascii() and epoch_ms.isdecimal()):
        return None
    return budget_id, int(epoch_ms), subject


class Settlement(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One finished request, as it stands in the journal.

    `row.charged_mc` is taken from the account's credits; `spends` are the budget purses that its cost counts in, as
    (purse, nano-dollars). `metered` false: the ledger gets a row that moves nothing.
    """

    row: RequestRow
    metered: bool
    spends: tuple[tuple[str, int], ...] = ()


class Want(msgspec.Struct, frozen=True, gc=False):
    """A lease that is wanted: `need` or more of a purse, up to `wish`; a need of 0 asks how the purse stands."""

    purse: str
    need: int
    wish: int


class Turn(msgspec.Struct, frozen=True):
    """One transaction of one worker: settle, give back, lease.

    `number` is one more than that of the turn before; `journal_end` is how far the journal is applied once these
    settlements are. `returns` are parts of leases that are not needed any more, as (purse, amount).
    """

    worker_id: str
    number: int
    journal_end: int
    settlements: tuple[Settlement, ...] = ()
    returns: tuple[tuple[str, int], ...] = ()
    wants: tuple[Want, ...] = ()


class Free(msgspec.Struct, frozen=True):
    """How a purse stands: `free` for anybody, `reserved` in the leases of all workers."""

    free: int
    reserved: int


class TurnResult(msgspec.Struct, frozen=True):
    """How things stand after a turn.

    `leases` is all that this worker holds, by purse: the truth, also after a turn that was committed unanswered.
    `purses` tells how each purse stands that the turn wanted a lease of; nothing after such a turn. `lost_mc` was due
    and could not be taken: a lease had run out.
    """

    leases: dict[str, int]
    purses: dict[str, Free]
    lost_mc: int = 0
