"""Every number that a setting may be has a range, and at its ends a model can be built, or the error is ours."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Annotated, Union, get_args, get_origin

import pytest

from avis_data.errors import AvisError, ConfigError
from avis_data.training import config as run_config
from avis_data.training.config import RunConfig, config_from_values, config_values, load_config
from avis_data.training.registry import MODELS, build_model
from avis_data.training.task import TASKS

FREE = {"model.audio_mean"}
"""Any number makes sense."""
SECTIONS = {
    name: getattr(run_config, name.title() + "Config") for name in ("optimiser", "schedule", "loop", "validation")
}
TINY = {"avism": "avism_tiny", "rcf": "rcf_tiny", "afcv": "afcv_tiny", "avs-bg": "avs_bg_tiny"}


def numbers(kind: type, prefix: str) -> Iterator[tuple[str, object]]:
    """The names and annotations of all numeric settings of a dataclass, those inside it included."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        for part in parts(hints[field.name]):
            name = f"{prefix}.{field.name}"
            if isinstance(part, type) and is_dataclass(part):
                yield from numbers(part, name)
            elif part in (int, float) or (get_origin(part) is Annotated and get_args(part)[0] in (int, float)):
                yield name, part


def parts(hint: object) -> Iterator[object]:
    """What a setting may be: each member of a union, each element of a tuple."""
    if get_origin(hint) in (Union, types.UnionType, tuple):
        for part in get_args(hint):
            yield from parts(part)
    else:
        yield hint


def of_model(name: str) -> list[tuple[str, object]]:
    """All numeric settings of a run of that model."""
    spec = MODELS[name]
    kinds = {"model": spec.config, "loss": spec.loss, "data": TASKS[spec.task].data, **SECTIONS}
    return [found for section, kind in kinds.items() for found in numbers(kind, section)]


@pytest.mark.parametrize("model", MODELS.names())
def test_every_number_has_a_range(model: str) -> None:
    found = of_model(model)
    assert len(found) > 20
    assert [name for name, part in found if get_origin(part) is not Annotated and name not in FREE] == []


def lowest(part: object) -> list[float]:
    """The smallest value that is let in, and one that is not."""
    for mark in get_args(part)[1:]:
        for bound in getattr(mark, "metadata", ()):
            low = getattr(bound, "ge", getattr(bound, "gt", None))
            if low is not None:
                step = 1 if get_args(part)[0] is int else 1e-6
                return [low if hasattr(bound, "ge") else low + step, low - step]
    return []


def settings_of(model: str) -> list[tuple[str, float, float]]:
    """Settings of the tiny config: name, lowest value, a value below."""
    values = config_values(load_config(TINY[model]))
    found = []
    for name, part in of_model(model):
        if (ends := lowest(part)) and at(values, name) is not None and not isinstance(at(values, name), list | dict):
            found.append((name, *ends))
    return found


def at(values: dict[str, object], name: str) -> object:
    """A value by its dotted name; None where this kind of backbone has none."""
    found: object = values
    for key in name.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def changed(model: str, name: str, value: float) -> RunConfig:
    values = config_values(load_config(TINY[model]))
    holder: object = values
    *path, last = name.split(".")
    for key in path:
        assert isinstance(holder, dict)
        holder = holder[key]
    assert isinstance(holder, dict)
    holder[last] = value
    return config_from_values(values, where="test")


CASES = [(model, *case) for model in TINY for case in settings_of(model)]


@pytest.mark.parametrize(("model", "name", "low", "below"), CASES, ids=[f"{c[0]}-{c[1]}" for c in CASES])
def test_the_lowest_value_builds_or_is_refused_in_words(model: str, name: str, low: float, below: float) -> None:
    with pytest.raises(AvisError, match=name.rpartition(".")[2]):
        changed(model, name, below)
    try:
        config = changed(model, name, low)
        build_model(config)
    except AvisError as error:  # a second rule, which says what goes with what
        assert name.rpartition(".")[2] in str(error) or f"this {model} cannot be built: " in str(error)


@pytest.mark.parametrize("name", ["null", "avizm", "[avism]"])
def test_a_model_that_is_not_known_is_told_with_its_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"model_name: {name}\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml: model_name: no model .*there are: avism"):
        load_config(path)
