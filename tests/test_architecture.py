"""The rules of the house, held by tests: where code may stand, how large it may grow, what it may be called."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYTHON = sorted((ROOT / "python").rglob("*.py"))
RUST = sorted((ROOT / "rust" / "src").rglob("*.rs"))
MAX_LINES = 350
FORBIDDEN = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
TOP_LEVEL = {
    "Cargo.lock", "Cargo.toml", "Dockerfile", "Makefile", "README.md", "benches", "docs", "pyproject.toml",
    "python", "requirements.lock", "rust", "tests",
}  # fmt: skip


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def words_of(path: Path) -> set[str]:
    return set(path.stem.lower().split("_"))


def test_imports_point_downward_and_no_layer_imports_another():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Contracts: 2 kept, 0 broken." in done.stdout


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_every_module_opens_with_a_sentence(path: Path):
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert said, f"{name_of(path)} has no docstring"
    first = said.partition("\n\n")[0]
    assert first.rstrip().endswith((".", "`")), f"{name_of(path)}: the first paragraph is no sentence: {first!r}"


@pytest.mark.parametrize("path", [path for path in RUST if path.stem != "tests"], ids=name_of)
def test_every_rust_module_opens_with_a_sentence(path: Path):
    assert path.read_text().startswith("//! "), f"{name_of(path)} does not begin with `//!`"


@pytest.mark.parametrize("path", [*PYTHON, *RUST], ids=name_of)
def test_no_file_is_longer_than_a_sitting(path: Path):
    lines = len(path.read_text().splitlines())
    assert lines <= MAX_LINES, f"{name_of(path)} has {lines} lines; cut it where its jobs part"


@pytest.mark.parametrize("path", [*PYTHON, *RUST], ids=name_of)
def test_no_file_has_a_name_that_says_nothing(path: Path):
    places = [path, *(p for p in path.parents if ROOT in p.parents)]
    for place in places:
        assert not words_of(place) & FORBIDDEN, f"{name_of(path)}: name it by what it does"
        assert not place.stem.endswith("_v2"), f"{name_of(path)}: there is one version, the present one"


@pytest.mark.parametrize("path", PYTHON, ids=name_of)
def test_no_module_keeps_mutable_global_state(path: Path):
    found = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Global)]
    assert not found, f"{name_of(path)}: `global` in line {found}"


def test_no_two_tests_share_a_file_name():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names))


def test_the_top_level_holds_only_what_belongs_there():
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    found = {entry.name for entry in ROOT.iterdir() if not entry.name.startswith(".")}
    assert found - ignored - TOP_LEVEL == set()
    assert TOP_LEVEL - found == set()


def test_the_native_module_has_one_door():
    importers = {name_of(path) for path in PYTHON if "neuralrouting._core import" in path.read_text()}
    assert importers == {"python/neuralrouting/engine.py"}


def test_only_the_glue_names_pyo3():
    users = {name_of(path) for path in RUST if "pyo3" in path.read_text()}
    assert users
    assert all(user.startswith("rust/src/python/") for user in users), users
