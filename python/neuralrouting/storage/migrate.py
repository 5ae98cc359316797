"""Which numbered migrations a database still needs; the adapters run them under a lock of their own."""

import hashlib
from collections.abc import Iterable, Sequence
from importlib import resources

import msgspec

from neuralrouting.errors import ConfigError

CREATE_LOG = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL
)
"""
READ_LOG = "SELECT number, name, sha256 FROM schema_migrations ORDER BY number"
APPEND_LOG = "INSERT INTO schema_migrations (number, name, sha256) VALUES ($1, $2, $3)"


class Migration(msgspec.Struct, frozen=True):
    """One numbered step: `0001_initial.sql` has number 1 and name `initial`."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Digest of the text, recorded when it is applied, so that a later change of the file is noticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def packaged(dialect: str) -> tuple[Migration, ...]:
    """Return the migrations that come with this program, in order."""
    folder = resources.files("neuralrouting.storage") / "migrations" / dialect
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return tuple(_read(file.name, file.read_text("utf-8")) for file in files)


def _read(file_name: str, sql: str) -> Migration:
    number, _, name = file_name.removesuffix(".sql").partition("_")
    return Migration(int(number), name, sql)


def pending(applied: Iterable[tuple[int, str, str]], available: Sequence[Migration]) -> tuple[Migration, ...]:
    """Return what is still to be run. `applied` holds (number, name, sha256) as recorded in the database.

    Raises ConfigError when a recorded migration is unknown (the database is newer than this program) or its
    text has changed since it was applied.
    """
    by_number = {migration.number: migration for migration in available}
    done: set[int] = set()
    for number, name, sha256 in applied:
        known = by_number.get(number)
        if known is None:
            newest = max(by_number, default=0)
            raise ConfigError(
                f"the database has migration {number:04}_{name}, but this version of NeuralRouting knows "
                f"migrations up to {newest:04} only: start a newer version, or restore a backup from before"
            )
        if known.sha256 != sha256:
            raise ConfigError(
                f"migration {number:04}_{known.name} differs from the one that was applied to this database: "
                "restore the file as it was released and put the change into a new migration"
            )
        done.add(number)
    return tuple(migration for migration in available if migration.number not in done)


def statements(sql: str) -> list[str]:
    """Split a migration into its statements; each of them ends with `;` at the end of a line."""
    return [part for part in sql.split(";\n") if part.strip()]
