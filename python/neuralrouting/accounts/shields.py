"""The compiled shield of every account, kept up to date: built-in rules, the operator's file, the account's own."""

import asyncio
import logging
from pathlib import Path
from typing import Protocol

from neuralrouting.background import Background, Complaints
from neuralrouting.config import ShieldConfig
from neuralrouting.engine import Shield, compile_rules, panicked
from neuralrouting.errors import ConfigError, Unavailable
from neuralrouting.storage.rules import RuleRow, RuleRows

POLL_S = 0.5
"""Changed rules judge within this, plus one query and the time to compile them; the promise is 2 s."""
OVERLAP_MS = 10_000
"""Polls look back this far, for a change that is older by its time but was committed later."""

_log = logging.getLogger("neuralrouting.accounts")
_Stamp = tuple[int, int, int]
"""Inode, size and time of change of a file: another one, another content."""


class Compiler(Protocol):
    """What makes a shield of the built-in rules and of overlays, each (where it stands, TOML); raises ConfigError."""

    def __call__(self, *overlays: tuple[str, str], model: bool) -> Shield:
        """Compile; called off the event loop."""
        ...


class Shields:
    """One shield for everybody and one for each account with rules of its own, in memory.

    Rules that are refused change nothing: the last good ones go on judging, and the log says once why.
    """

    def __init__(
        self, rows: RuleRows, settings: ShieldConfig, *, poll_s: float = POLL_S, compiler: Compiler = compile_rules
    ) -> None:
        self._rows = rows
        self._compiler = compiler
        self._model = settings.model
        self._file = Path(settings.rules_path) if settings.rules_path is not None else None
        self._poll_s = poll_s
        self._stamp: _Stamp | None = None
        self._file_text = ""
        self._base: Shield
        self._texts: dict[str, str] = {}
        self._own: dict[str, Shield] = {}
        self._changed_ms = 0
        self._complaints = Complaints(_log)
        self._background = Background()

    async def start(self) -> None:
        """Compile what there is and begin to follow changes. Raises Unavailable when the database is away."""
        self._base = await asyncio.to_thread(self._compiler, model=self._model)
        await self._look()
        self._background.start(shields=self._follow())

    async def close(self) -> None:
        """Stop to follow changes."""
        await self._background.close()

    def for_account(self, account_id: str) -> Shield:
        """Return what judges the requests of this account, from memory."""
        return self._own.get(account_id, self._base)

    @property
    def hash(self) -> str:
        """Hash of what judges accounts without rules of their own."""
        return self._base.hash

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            try:
                await self._look()
            except Unavailable as error:
                self._complaints.say("database", f"the shield's rules cannot be read: {error.message}")
            else:
                self._complaints.settle("database")

    async def _look(self) -> None:
        """Compile what has changed since the last look."""
        changed = await self._rows.changed_since(self._changed_ms - OVERLAP_MS)
        stale = {row.account_id for row in changed if self._is_news(row)}
        if self._file is not None and await self._renew_base(self._file):
            stale |= self._texts.keys()
        for account_id in sorted(stale):
            await self._renew(account_id)

    def _is_news(self, row: RuleRow) -> bool:
        self._changed_ms = max(self._changed_ms, row.changed_ms)
        if self._texts.get(row.account_id, "") == row.toml:
            return False
        self._texts[row.account_id] = row.toml
        return True

    async def _renew_base(self, file: Path) -> bool:
        """Whether the operator's file has changed and compiles."""
        try:
            news = await asyncio.to_thread(_read, file, self._stamp)
        except (OSError, UnicodeDecodeError) as error:
            self._complaints.say("file", f"{file} cannot be read ({error}): the shield's rules stay as they are")
            return False
        self._complaints.settle("file")
        if news is None:
            return False
        self._stamp, text = news
        fresh = await self._compiled("the shield's rules for all accounts", (str(file), text))
        if fresh is None:
            return False
        self._file_text, self._base = text, fresh
        return True

    async def _renew(self, account_id: str) -> None:
        text = self._texts[account_id]
        if not text.strip():
            self._own.pop(account_id, None)
            return
        overlays = (str(self._file), self._file_text), (f"rules of account {account_id}", text)
        fresh = await self._compiled(f"the shield's rules for account {account_id}", *overlays)
        if fresh is not None:
            self._own[account_id] = fresh

    async def _compiled(self, what: str, *overlays: tuple[str, str]) -> Shield | None:
        try:
            fresh = await asyncio.to_thread(self._compiler, *overlays, model=self._model)
        except ConfigError as error:
            _log.error("%s stay as they were: %s", what, error.message)
            return None
        except BaseException as error:
            if not panicked(error):  # rules of one account must not end the following of all others
                raise
            _log.exception("%s stay as they were: the native core panicked", what)
            return None
        _log.info("%s are now pack %s", what, fresh.hash)
        return fresh


def configured_rules(settings: ShieldConfig) -> list[tuple[str, str]]:
    """Read the operator's rules for all accounts, as (file, text); raises ConfigError where they cannot be read."""
    if settings.rules_path is None:
        return []
    try:
        return [(settings.rules_path, Path(settings.rules_path).read_text(encoding="utf-8"))]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"shield.rules_path: {settings.rules_path} cannot be read ({error})") from error


def _read(file: Path, known: _Stamp | None) -> tuple[_Stamp, str] | None:
    """Return the file's stamp and text, None when it is the file that is known."""
    told = file.stat()
    stamp = (told.st_ino, told.st_size, told.st_mtime_ns)
    return None if stamp == known else (stamp, file.read_text(encoding="utf-8"))
