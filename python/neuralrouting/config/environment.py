"""Settings from environment variables: each has exactly one name, its path in upper case joined by `_`."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_origin

import msgspec

from neuralrouting.config.providers import BUILT_IN_PROVIDERS, provider_rows
from neuralrouting.config.settings import Config, ProviderConfig
from neuralrouting.config.shape import bare, setting

FILE_VARIABLE: Final = "NEURALROUTING_CONFIG"
"""Names the configuration file, where `--config` does not."""
ADMIN_EMAIL_VARIABLE: Final = "NEURALROUTING_ADMIN_EMAIL"
ADMIN_PASSWORD_VARIABLE: Final = "NEURALROUTING_ADMIN_PASSWORD"  # noqa: S105  its name
"""Make the first user, an owner, where there is none yet."""
_NEAR: Final = 0.83
"""Likeness (difflib ratio) from which a name looks like a slip: OPENAI_KEY for OPENAI_API_KEY is 0.833."""

_Path = tuple[str, ...]


def environment_names(providers: Iterable[str] = BUILT_IN_PROVIDERS) -> dict[str, _Path]:
    """Return the environment name of every setting that fits one line of text, with its path in the file."""
    return {name: path for name, (path, _) in _settings(providers).items()}


def from_environment(environ: Mapping[str, str], providers: Iterable[str]) -> dict[str, Any]:
    """Return the settings that the environment holds, as a nested mapping; an empty variable counts as unset.

    Raises ConfigError that names the variable when its value has the wrong type.
    """
    found: dict[str, Any] = {}
    for name, (path, kind) in _settings(providers).items():
        value = environ.get(name, "")
        if value.strip():
            inner = found
            for part in path[:-1]:
                inner = inner.setdefault(part, {})
            inner[path[-1]] = setting(value.strip(), kind, name)
    return found


def near_misses(environ: Mapping[str, str], config: Config) -> tuple[str, ...]:
    """Warn of each variable that looks like a slip of ours; no error, it may be another program's."""
    rows = provider_rows(config)
    known = {*_settings(rows), FILE_VARIABLE, ADMIN_EMAIL_VARIABLE, ADMIN_PASSWORD_VARIABLE, "XDG_DATA_HOME"}
    known.update(row.api_key_env for row in rows.values() if row.api_key_env)
    warnings: list[str] = []
    for name in sorted(set(environ) - known):
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=_NEAR)
        if near:
            warnings.append(f"{name} is set but not read; did you mean {near[0]}?")
    return tuple(warnings)


def _settings(providers: Iterable[str]) -> dict[str, tuple[_Path, Any]]:
    names: dict[str, tuple[_Path, Any]] = {}
    for path, kind in _leaves(Config, ()):
        names["_".join(path).upper()] = (path, kind)
    for provider in providers:
        for path, kind in _leaves(ProviderConfig, ("providers", provider)):
            names[re.sub(r"[^A-Z0-9]", "_", "_".join(path).upper())] = (path, kind)
    return names


def _leaves(struct: type[msgspec.Struct], path: _Path) -> Iterable[tuple[_Path, Any]]:
    for field in msgspec.structs.fields(struct):
        kind = bare(field.type)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from _leaves(kind, (*path, field.name))
        elif get_origin(kind) not in (dict, tuple):
            yield (*path, field.name), field.type
