"""From plain data to typed settings: unknown keys with the nearest known one, wrong types with their path."""

import difflib
import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

import msgspec

from neuralrouting.config.secret import Secret
from neuralrouting.config.settings import Config, ModelConfig, ProviderConfig
from neuralrouting.errors import ConfigError

_Struct = TypeVar("_Struct", bound=msgspec.Struct)
_NUMBER_FOR_TEXT = re.compile(r"Expected `str.*got `(?:int|float)`")
_PATH = re.compile(r" - at `\$\.?(.*)`$")


def typed(raw: Mapping[str, Any], source: str) -> Config:
    """Turn a merged mapping into a Config; `source` opens the message of the ConfigError it raises."""
    _refuse_unknown(raw, Config, "", source)
    # msgspec's paths do not tell which item of a list or mapping was wrong, so these are turned one by one first.
    for name, row in (mapping(raw.get("providers")) or {}).items():
        _convert(row, ProviderConfig, f"providers.{name}", source)
    models: object = raw.get("models")
    for index, row in enumerate(cast("list[object]", models) if isinstance(models, list) else []):
        _convert(row, ModelConfig, f"models[{index}]", source)
    return _convert(raw, Config, "", source)


def _convert(raw: object, kind: type[_Struct], path: str, source: str) -> _Struct:
    try:
        return msgspec.convert(raw, kind, dec_hook=decode_secret)
    except msgspec.ValidationError as error:
        message = str(error)
        found = _PATH.search(message)
        where = ".".join(part for part in (path, found.group(1) if found else "") if part)
        hint = "; put it in quotes" if _NUMBER_FOR_TEXT.search(message) else ""
        raise ConfigError(f"{source}: {where}: {_lower(_PATH.sub('', message))}{hint}") from error


def setting(value: str, kind: Any, name: str) -> Any:  # noqa: ANN401  a setting may be of any type
    """Turn the text of the environment variable `name` into the type of its setting; raises ConfigError."""
    try:
        return msgspec.convert(value, kind, strict=False, dec_hook=decode_secret)
    except msgspec.ValidationError as error:
        told = str(error).replace(", got `str`", f", got {value!r}")
        raise ConfigError(f"{name}: {_lower(told)}{_choices(kind)}") from error


def decode_secret(kind: type, value: object) -> object:
    """Wrap a key at the moment it is read (msgspec's hook for types it does not know)."""
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"Expected `str`, got `{type(value).__name__}`")


def bare(kind: Any) -> Any:  # noqa: ANN401  a type form
    """Return a setting's type without bounds and without None: `Annotated[int, ...] | None` is `int`."""
    if get_origin(kind) is Annotated:
        return bare(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return bare(next(part for part in get_args(kind) if part is not type(None)))
    return kind


def mapping(value: object) -> dict[str, Any] | None:
    """Return plain data as a mapping, None when it is something else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one nested mapping over another; what is not a mapping is replaced whole."""
    result = dict(below)
    for key, value in above.items():
        under, over = mapping(result.get(key)), mapping(value)
        result[key] = value if under is None or over is None else merged(under, over)
    return result


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)`, or nothing where no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _refuse_unknown(value: object, kind: Any, path: str, source: str) -> None:  # noqa: ANN401  a type form
    kind, fields = bare(kind), mapping(value)
    if fields is not None and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        _refuse_unknown_fields(fields, kind, path, source)
    elif fields is not None and get_origin(kind) is dict:
        for key, item in fields.items():
            _refuse_unknown(item, get_args(kind)[1], f"{path}{key}.", source)
    elif isinstance(value, list) and get_origin(kind) is tuple:
        for index, item in enumerate(cast("list[object]", value)):
            _refuse_unknown(item, get_args(kind)[0], f"{path[:-1]}[{index}].", source)


def _refuse_unknown_fields(value: Mapping[str, Any], kind: type[msgspec.Struct], path: str, source: str) -> None:
    known = {f.encode_name: f.type for f in msgspec.structs.fields(kind)}
    for key, item in value.items():
        if key not in known:
            hint = nearest(str(key), known) or f"; known here: {', '.join(known)}"
            raise ConfigError(f"{source}: {path}{key}: unknown setting{hint}")
        _refuse_unknown(item, known[key], f"{path}{key}.", source)


def _choices(kind: Any) -> str:  # noqa: ANN401  a type form
    kind = bare(kind)
    if get_origin(kind) is Literal:
        return f"; one of {', '.join(map(str, get_args(kind)))}"
    return "; write true or false" if kind is bool else ""


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
