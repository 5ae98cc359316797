"""Links that let somebody in once: printed at the first start, made on the command line and by owners."""

from typing import Final

from neuralrouting.dashboard.session import digest_of, new_token
from neuralrouting.storage.sign_in import SignInRows
from neuralrouting.storage.trail import Actor

SHORT_MS: Final = 15 * 60_000
"""For whoever is at the machine."""
INVITE_MS: Final = 24 * 3_600_000
"""For whoever is sent one."""


async def make_link(
    rows: SignInRows, account_id: str, user_id: str | None, now_ms: int, valid_ms: int = SHORT_MS, *, actor: Actor
) -> str:
    """Make a link and return its path; only the digest of its token is stored.

    `user_id` None: it makes the first user, an owner of the account. A user's earlier links end.
    """
    token = new_token()
    await rows.add_link(digest_of(token), account_id, user_id, now_ms, now_ms + valid_ms, actor=actor)
    return f"/login/link/{token}"


def base_url(host: str, port: int) -> str:
    """Return the address that a browser on this machine uses; one that means every interface is none."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "[::]", "") else host  # noqa: S104  not bound, compared
    return f"http://[{shown}]:{port}" if ":" in shown and "[" not in shown else f"http://{shown}:{port}"
