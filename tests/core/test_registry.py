"""Specs are found by name, imported when they are used, and added from outside."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from avis_data.errors import ConfigError
from avis_data.registry import Registry


@dataclass(frozen=True)
class Spec:
    name: str


def test_a_spec_is_imported_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_specs.py").write_text(
        "from dataclasses import make_dataclass\nA = make_dataclass('A', ['name'])('a')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    toys: Registry[Spec] = Registry("toy", {"a": "toy_specs:A"}, group="avis_data.no_such_group")
    assert toys.names() == ["a"] and "a" in toys and "toy_specs" not in sys.modules
    assert toys["a"].name == "a" and "toy_specs" in sys.modules


def test_what_is_added_stands_behind_what_ships_and_goes_again() -> None:
    toys: Registry[Spec] = Registry("toy", {"a": f"{__name__}:Spec"}, group="avis_data.no_such_group")
    with toys.with_added(Spec("b")) as spec:
        assert toys.names() == ["a", "b"] and toys["b"] is spec
        with pytest.raises(ConfigError, match="already"):
            toys.add(Spec("b"))
    assert toys.names() == ["a"]


def test_an_unknown_name_is_told_with_the_nearest_one() -> None:
    toys: Registry[Spec] = Registry("toy", {}, group="avis_data.no_such_group")
    toys.add(Spec("extract"))
    with pytest.raises(ConfigError, match="no toy 'extrakt'; there are: extract") as caught:
        toys["extrakt"]
    assert "extract" in (caught.value.hint or "")


def test_other_packages_add_theirs_by_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_toys.py").write_text("class SPEC: name = 'theirs'\n")
    info = tmp_path / "their_toys-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-toys\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[avis_data.toys]\ntheirs = their_toys:SPEC\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    toys: Registry[Spec] = Registry("toy", {}, group="avis_data.toys")
    assert toys.names() == ["theirs"] and toys["theirs"].name == "theirs"
