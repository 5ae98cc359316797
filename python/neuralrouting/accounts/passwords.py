"""Passwords: hashed and compared with argon2id, a few at a time, so that a flood of sign-ins cannot eat a worker."""

import asyncio
import unicodedata
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from os import urandom
from typing import Final, TypeVar

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from neuralrouting.errors import InvalidField, Unavailable

PASSWORD_LEAST, PASSWORD_MOST = 12, 1024
"""Characters. NIST SP 800-63B: length counts, rules about kinds of characters do not help; there must be a bound."""
MEMORY_KIB, ROUNDS, LANES = 19_456, 2, 1
"""What a hash costs: OWASP's Password Storage Cheat Sheet for argon2id. Those of RFC 9106 take
nine times the CPU time (205 ms, not 23, on the machine this was written on), and a worker has requests to serve."""
PARALLEL: Final = 2
"""Hashes at one time in a worker."""
WAITING: Final = 16
"""More than that wait in vain: they are refused at once."""


_Result = TypeVar("_Result")


class Checked(msgspec.Struct, frozen=True):
    """Whether a password is right, and its new hash where the stored one is weaker than those made today."""

    right: bool
    rehashed: str | None = None

    def __repr__(self) -> str:
        return f"Checked(right={self.right})"


class Passwords:
    """Makes and checks hashes; one per worker. Those of other costs are checked too, and made anew."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(ROUNDS, MEMORY_KIB, LANES)
        self._nobodys = _nobodys_hash(self._hasher)
        self._threads = ThreadPoolExecutor(PARALLEL, thread_name_prefix="passwords")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Return the hash of a new password. Raises InvalidField for one that is too short or long, Unavailable."""
        check_password(password)
        return await self._in_turn(self._hasher.hash, _plain(password))

    async def check(self, stored: str | None, password: str) -> Checked:
        """Compare a password with a stored hash; with None it takes as long and is wrong. Raises Unavailable."""
        if len(password) > PASSWORD_MOST:
            password = ""  # nobody has such a one, and hashing it would take longer
        return await self._in_turn(self._check, stored or self._nobodys, _plain(password))

    def _check(self, stored: str, password: bytes) -> Checked:
        try:
            self._hasher.verify(stored, password)
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return Checked(right=False)
        weak = self._hasher.check_needs_rehash(stored)
        return Checked(right=True, rehashed=self._hasher.hash(password) if weak else None)

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_turn(self, work: Callable[..., _Result], *args: object) -> _Result:
        if self._waiting >= PARALLEL + WAITING:
            raise Unavailable("too many people sign in just now; try again in a moment", code="overloaded")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        finally:
            self._waiting -= 1


def check_password(password: str) -> None:
    """Raise InvalidField where this cannot be a password."""
    if not PASSWORD_LEAST <= len(password) <= PASSWORD_MOST:
        raise InvalidField(f"a password has {PASSWORD_LEAST} to {PASSWORD_MOST} characters", param="password")


def _plain(password: str) -> bytes:
    """One text can be typed in several sequences of code points; they must be one password."""
    return unicodedata.normalize("NFKC", password).encode()


def _nobodys_hash(hasher: PasswordHasher) -> str:
    """Return a hash, as expensive as any, that no password has: so unknown users take as long as known ones."""
    salt, digest = (b64encode(urandom(n)).rstrip(b"=").decode() for n in (hasher.salt_len, hasher.hash_len))
    costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${digest}"
