"""Reads the configuration once: flags over environment over file over defaults, then typed and checked."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from neuralrouting.config.environment import FILE_VARIABLE, from_environment
from neuralrouting.config.litellm import is_litellm, translate
from neuralrouting.config.providers import BUILT_IN_PROVIDERS, checked_base_url, checked_url, provider_rows
from neuralrouting.config.settings import Config, OidcConfig, SemanticCacheConfig
from neuralrouting.config.shape import mapping, merged, typed
from neuralrouting.errors import ConfigError

DEFAULT_FILE: Final = "neuralrouting.yaml"
_REFERENCE: Final = re.compile(r"^(?:\$\{(\w+)\}|os\.environ/(\w+))$")

_Raw = dict[str, Any]


class Loaded(msgspec.Struct, frozen=True):
    """A configuration, the file it came from, and what in that file was not used."""

    config: Config
    path: Path | None
    notices: tuple[str, ...] = ()


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Config:
    """Return the configuration; raises ConfigError. See `read`."""
    return read(path, environ, overrides).config


def read(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Loaded:
    """Read file, environment and overrides.

    The file is `path`, else $NEURALROUTING_CONFIG, else ./neuralrouting.yaml where it exists.
    `overrides` is nested like the file and wins over all else; None values in it count as not given.
    Raises ConfigError that names the file and the setting, or the environment variable.
    """
    file = _find(path, environ)
    raw = _parse(file) if file else {}
    notices: tuple[str, ...] = ()
    if is_litellm(raw):
        raw, notices = translate(raw, environ, str(file))
    names = {*BUILT_IN_PROVIDERS, *(mapping(raw.get("providers")) or {})}
    raw = merged(raw, from_environment(environ, sorted(names)))
    raw = merged(raw, _given(overrides or {}))
    raw.setdefault("data_dir", _data_dir(environ))
    source = str(file or "configuration")
    config = typed(_with_built_in_rows(raw), source)
    try:
        return Loaded(_checked(config), file, notices)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error.message}") from error


def _find(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = path or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    if named is not None:
        if not named.is_file():
            raise ConfigError(f"{named}: no such configuration file")
        return named
    default = Path(DEFAULT_FILE)
    return default if default.is_file() else None


def _parse(file: Path) -> _Raw:
    try:
        raw = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: not YAML: {' '.join(str(error).split())}") from error
    if raw is None:
        return {}
    settings = mapping(raw)
    if settings is None:
        raise ConfigError(f"{file}: the top level must be a mapping of settings, such as `server:`")
    return settings


class _Loader(yaml.SafeLoader):
    """YAML without surprises: a key that stands twice is an error, not a silent last-one-wins."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        """Build a mapping; raises ConstructorError for a repeated key."""
        mapping = super().construct_mapping(node, deep=deep)
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        repeated = next((key for key in keys if keys.count(key) > 1), None)
        if repeated is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{repeated!r} stands twice", node.start_mark)
        return mapping


def _given(overrides: Mapping[str, Any]) -> _Raw:
    nested = {k: v if (inner := mapping(v)) is None else _given(inner) for k, v in overrides.items()}
    return {k: v for k, v in nested.items() if v is not None and v != {}}


def _with_built_in_rows(raw: _Raw) -> _Raw:
    """Complete each configured provider from the built-in row of its name: one field can be set alone."""
    providers = mapping(raw.get("providers"))
    if providers is None:
        return raw
    return {**raw, "providers": {name: _with_row(name, given) for name, given in providers.items()}}


def _with_row(name: str, given: object) -> object:
    told = {} if given is None else mapping(given)
    if told is None:
        return given
    row = BUILT_IN_PROVIDERS.get(name)
    below = {f: getattr(row, f) for f in row.__struct_fields__} if row else {}
    return merged({**below, "rename": dict(below.get("rename", {}))}, _dereference(told))


def _dereference(given: Mapping[str, Any]) -> _Raw:
    """Turn `api_key: ${NAME}` and LiteLLM's `os.environ/NAME` into `api_key_env: NAME`."""
    key = given.get("api_key")
    match = _REFERENCE.match(key) if isinstance(key, str) else None
    if match is None:
        return dict(given)
    rest = {name: value for name, value in given.items() if name != "api_key"}
    return {**rest, "api_key_env": match.group(1) or match.group(2)}


def _checked(config: Config) -> Config:
    for name, row in provider_rows(config).items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or name in ("local", "simulated"):
            raise ConfigError(f"providers.{name}: a name of letters, digits, `.`, `_`, `-`; not local or simulated")
        checked_base_url(name, row)
    rows = provider_rows(config)
    for index, model in enumerate(config.models):
        if model.provider not in rows and model.provider != "local":
            raise ConfigError(f"models[{index}].provider: no provider {model.provider!r}; add it under `providers:`")
    local, shield, semantic = config.local, config.shield, _checked_semantic(config.semantic_cache)
    if local.model_path is not None:
        local = msgspec.structs.replace(local, model_path=_expanded(local.model_path))
    if shield.rules_path is not None:
        shield = msgspec.structs.replace(shield, rules_path=_expanded(shield.rules_path))
    dashboard = msgspec.structs.replace(config.dashboard, oidc=_checked_oidc(config.dashboard.oidc))
    return msgspec.structs.replace(
        config,
        data_dir=_expanded(config.data_dir),
        local=local,
        shield=shield,
        semantic_cache=semantic,
        dashboard=dashboard,
    )


def _checked_oidc(oidc: OidcConfig) -> OidcConfig:
    """Say what sign-in through an identity provider lacks."""
    if oidc.issuer is None:
        return oidc
    url = checked_url("dashboard.oidc", "issuer", oidc.issuer, allow_private=oidc.allow_private)
    for name in ("client_id", "roles"):
        if not getattr(oidc, name):
            raise ConfigError(f"dashboard.oidc.{name}: sign-in through {url} needs it")
    return msgspec.structs.replace(oidc, issuer=url)


def _checked_semantic(semantic: SemanticCacheConfig) -> SemanticCacheConfig:
    """Say what the chosen embedder lacks."""
    needed = {"onnx": ("model_path",), "openai": ("url", "model")}.get(semantic.embedder, ())
    for name in needed:
        if getattr(semantic, name) is None:
            raise ConfigError(f"semantic_cache.{name}: the embedder `{semantic.embedder}` needs it")
    if semantic.url is not None:
        url = checked_url("semantic_cache", "url", semantic.url, allow_private=semantic.allow_private)
        semantic = msgspec.structs.replace(semantic, url=url)
    if semantic.model_path is None:
        return semantic
    return msgspec.structs.replace(semantic, model_path=_expanded(semantic.model_path))


def _expanded(path: str) -> str:
    return str(Path(path).expanduser())


def _data_dir(environ: Mapping[str, str]) -> str:
    base = environ.get("XDG_DATA_HOME", "")
    root = Path(base) if base.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".local" / "share"
    return str(root / "neuralrouting")
