"""YAML or JSON in, a checked record out; every bad key is reported at once."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.constructor import ConstructorError

from avis_data.errors import ConfigError, DataError, Problem, ProblemsError
from avis_data.io import read_json

__all__ = [
    "apply_settings",
    "config_from_yaml",
    "problems_from_validation",
    "record_from_json",
    "validated",
    "yaml_mapping",
    "yaml_value",
]

Model = TypeVar("Model", bound=BaseModel)

_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
"""What pydantic calls it in its own models and in dataclasses."""


def config_from_yaml(path: Path, model: type[Model], settings: Iterable[str] = ()) -> Model:
    """Read a YAML file, apply `key.sub=value` settings on top, and check it against `model`.

    Raises:
        ConfigError: if the file is missing, not YAML or not a mapping, or a setting is malformed.
        ProblemsError: with every unknown key and bad value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read as text ({error})") from None
    return validated(model, apply_settings(yaml_mapping(text, where=str(path)), settings), where=str(path))


def yaml_mapping(text: str, *, where: str) -> dict[str, Any]:
    """The keys and values of a YAML text.

    Raises:
        ConfigError: if it is no YAML, or no mapping; names `where` and the line.
    """
    values = yaml_value(text, where=where)
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: must be a mapping of keys to values, is {type(values).__name__}")
    return values


def yaml_value(text: str, *, where: str, hint: str | None = None) -> object:
    """The value that a YAML text holds. Raises ConfigError if it is no YAML; names `where` and the line."""
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not YAML: {error}", hint=hint) from None
    try:
        return loader.get_single_data()
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: not YAML: {error}", hint=hint) from None
    except RecursionError:
        line = loader.get_mark().line + 1
        raise ConfigError(f"{where}: line {line}: brackets or keys are nested too deep", hint=hint) from None
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """Tells the line also of values that have the look of a date or a number and are none."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # whatever Python says of a date that is not in the calendar, of too many digits
            fault = f"{type(error).__name__}: {error!s:.120}"
            raise ConstructorError(None, None, f"a value that cannot be read ({fault})", node.start_mark) from None


def apply_settings(values: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """A copy of `values` with `--set a.b=value` applied; values are parsed as YAML (`3`, `true`, `[1, 2]`)."""
    result = {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {setting!r}: must be key=value", hint="for example --set extract.frame_at=start")
        *parents, last = name.split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {setting!r}: {parent!r} holds a value, not keys")
        place[last] = yaml_value(text, where=f"--set {setting!r:.100}", hint="quote it: --set 'key=[1, 2]'")
    return result


def validated(model: type[Model], values: Any, *, where: str) -> Model:
    """`model(**values)`, with pydantic's complaints turned into a `ProblemsError` that names `where`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = problems_from_validation(error, where="")
        raise ProblemsError(f"{where}: {len(problems)} bad value(s)", problems) from None


def record_from_json(path: Path, model: type[Model], *, hint: str | None = None) -> Model:
    """A file of ours that holds one record as JSON.

    Args:
        path: the file.
        model: what it holds.
        hint: what to do if it is damaged.

    Raises:
        DataError: if the file is missing, no JSON, or no such record; names the file, and the line or the field.
    """
    try:
        value = read_json(path)
        json.dumps(value, ensure_ascii=False).encode()
        return validated(model, value, where=str(path))
    except UnicodeEncodeError:
        raise DataError(f"{path}: holds half a character (a lone surrogate)", hint=hint) from None
    except DataError as error:
        raise DataError(str(error.args[0]), hint=hint or error.hint) from None


def problems_from_validation(error: ValidationError, *, where: str) -> list[Problem]:
    """Pydantic's errors as ours: the field as `a.b.0`, the message with the value that was found.

    What is wrong with several values together names its keys in the message: no value is shown.
    """
    problems = []
    for item in error.errors(include_url=False):
        shown = item["loc"] and item["type"] not in ("missing", *_UNKNOWN_KEY)
        found = f" (found {_short(item['input'])})" if shown else ""
        message = "unknown key" if item["type"] in _UNKNOWN_KEY else item["msg"].removeprefix("Value error, ")
        problems.append(Problem(where, ".".join(str(part)[:80] for part in item["loc"]), f"{message}{found}"))
    return problems


def _short(value: object) -> str:
    """A value in at most some 80 letters, however deep or long it is."""
    try:
        return f"{reprlib.repr(value):.80}"
    except ValueError:  # a whole number of more digits than Python shows
        return f"a {type(value).__name__} that is too long to be shown"
