"""YAML in, a checked record out; every bad key is reported at once."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from avis_data.errors import ConfigError, Problem, ProblemsError

__all__ = ["apply_settings", "config_from_yaml", "problems_from_validation", "validated"]

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
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must be a mapping of keys to values, is {type(values).__name__}")
    return validated(model, apply_settings(values, settings), where=str(path))


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
        try:
            place[last] = yaml.safe_load(text)
        except yaml.YAMLError:
            hint = "quote it: --set 'key=[1, 2]'"
            raise ConfigError(f"--set {setting!r}: the value is not YAML", hint=hint) from None
    return result


def validated(model: type[Model], values: Any, *, where: str) -> Model:
    """`model(**values)`, with pydantic's complaints turned into a `ProblemsError` that names `where`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = problems_from_validation(error, where="")
        raise ProblemsError(f"{where}: {len(problems)} bad value(s)", problems) from None


def problems_from_validation(error: ValidationError, *, where: str) -> list[Problem]:
    """Pydantic's errors as ours: the field as `a.b.0`, the message with the value that was found."""
    problems = []
    for item in error.errors(include_url=False):
        found = "" if item["type"] in ("missing", *_UNKNOWN_KEY) else f" (found {item['input']!r:.80})"
        message = "unknown key" if item["type"] in _UNKNOWN_KEY else item["msg"]
        problems.append(Problem(where, ".".join(map(str, item["loc"])), f"{message}{found}"))
    return problems
