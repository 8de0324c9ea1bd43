"""Commands that the documents show are commands that there are, and every config and setting in them loads."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import click
import pytest

from avis_data.cli.commands import cli
from avis_data.errors import AvisError
from avis_data.storage import fetched
from avis_data.training.config import RunConfig, load_config, shipped_configs
from support.documents import commands_of
from support.places import ROOT

PAGES = [ROOT / "README.md", ROOT / "manifests" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES_OF_MODELS = ["training", "baselines"]
ROWS_AFTER = "command (after `avis-data train-baseline"
"""What the heading of a table says whose rows hold options only."""


@dataclass(frozen=True)
class Row:
    """A piece of code in a table of options, and the configs that it may be meant for."""

    place: str
    options: tuple[str, ...]
    configs: tuple[str, ...]


def rows_of(page: Path) -> Iterator[Row]:
    """The options in the tables whose rows are to be added to `train-baseline`, other values of a setting included.

    Where neither they nor their row say a config, it is the one of the rows above, at first the default.
    """
    inside, configs = False, ("avism_r50",)
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        heading = ROWS_AFTER in line
        inside = heading or (inside and line.startswith("|"))
        if not inside or heading:
            continue
        spans = re.findall(r"`([^`]+)`([^`]*)", line)
        said = tuple(dict.fromkeys(name for text, _ in spans for name in configs_in(text)))
        configs = said or (("avism_r50",) if page.stem == "training" else configs)
        before: tuple[str, ...] = ()
        for text, after in spans:
            for options in variants_of(text, after, before):
                yield Row(f"{page.name}:{number}", options, configs_in(text) or configs)
                before = options


def variants_of(text: str, after: str, before: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """What a piece of code means: options; or (`=12`, `=5` and so on) another value for the piece before it."""
    if text.startswith("=") and before:
        yield (*before[:-1], before[-1].partition("=")[0] + text)
    elif text.startswith(("--", "…")):
        words = tuple(word for word in shlex.split(text) if word != "…")
        yield words
        key, _, value = words[-1].partition("=")
        others = re.match(r" \((?:to (?P<last>\d+)|(?P<list>\d+(?:, \d+)*))\)", after)
        if others is not None:
            last, listed = others["last"], others["list"]
            more = listed.split(", ") if listed else map(str, range(int(value) + 1, int(last) + 1))
            yield from ((*words[:-1], f"{key}={other}") for other in more)


def configs_in(text: str) -> tuple[str, ...]:
    return tuple(word for word in re.findall(r"\w+", text) if word in shipped_configs())


def settings_in(words: Sequence[str]) -> list[str]:
    return [word for option, word in pairwise(words) if option == "--set"]


def settings_anywhere(page: Path) -> set[str]:
    """Every `section.key=value` in the page's code, also within sentences; not those with a value left open."""
    sections = "|".join(field.name for field in fields(RunConfig) if field.name != "model_name")
    codes = re.findall(r"`([^`]+)`", page.read_text(encoding="utf-8").replace("```", "\n"))
    words = [word for code in codes for word in (shlex.split(code) if "='" in code or "'" in code else code.split())]
    found = {word for word in words if re.match(rf"({sections})\.[\w.]+=", word)}
    return {setting for setting in found if not setting.endswith(("…", "..."))}


def parsed(words: tuple[str, ...]) -> tuple[list[str], click.Context]:
    """Names of the command and its parsed options; a click.UsageError if it has no such command or option."""
    context = cli.make_context("avis-data", list(words))
    group: click.Command = cli
    names: list[str] = []
    while isinstance(group, click.Group):
        name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None and name is not None
        context = command.make_context(name, list(rest), parent=context)
        group = command
        names.append(name)
    return names, context


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_and_option_exists(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetched, "fetched_export", lambda url, **_: Path(url))  # nothing is fetched to read a command
    made = ""
    for shown in commands_of(page):
        words = shown.words
        if words[0] != "avis-data" and "avis_data" not in words:
            continue
        words = words[max(words.index(word) for word in ("avis-data", "avis_data") if word in words) + 1 :]
        try:
            names, context = parsed(words)
        except click.BadParameter as error:
            assert "does not exist" in error.message, f"{shown.place}: {error.message}"
            names, context = [], None
        except click.UsageError as error:
            pytest.fail(f"{shown.place}: {error.message}")
        if names == ["synth"]:
            made = str(context.params["out"])
        if words[0] == "-C":
            lost = [word for word in words if made and word.startswith(f"{made}/")]
            assert not lost, f"{shown.place}: after -C, {lost} is ../{lost[0]}" if lost else ""
        if names == ["train-baseline"]:
            trains(context, shown.place)


def trains(context: click.Context, place: str) -> None:
    from avis_data.training.run.train import resolved_config  # imports torch and transformers

    options = context.params
    try:
        resolved_config(
            model=options["model_name"],
            name=options["config_name"],
            settings=options["settings"],
            precision=options["precision"],
            resumed=None,
        )
    except AvisError as error:
        pytest.fail(f"{place}: {error}")


@pytest.mark.parametrize("name", PAGES_OF_MODELS)
def test_every_row_of_a_paper_is_a_config_that_loads(name: str) -> None:
    rows = list(rows_of(ROOT / "docs" / f"{name}.md"))
    assert len(rows) > 10
    for row in rows:
        parsed(("train-baseline", "--data", "EXPORT", *row.options))
        assert any(loads(config, settings_in(row.options)) for config in row.configs), f"{row.place}: {row}"


@pytest.mark.parametrize("name", PAGES_OF_MODELS)
def test_every_setting_that_is_spoken_of_is_one(name: str) -> None:
    for setting in sorted(settings_anywhere(ROOT / "docs" / f"{name}.md")):
        assert any(loads(config, [setting]) for config in shipped_configs()), f"{name}.md: {setting}"


def loads(config: str, settings: Sequence[str]) -> bool:
    try:
        load_config(config, settings)
    except AvisError:
        return False
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_script_that_is_shown_has_the_options_shown(page: Path) -> None:
    for shown in commands_of(page):
        called = re.search(r"benchmarks[./](\w+)", " ".join(shown.words))
        if called is None or "avis-data" in shown.words:
            continue
        script = ROOT / "benchmarks" / f"{called[1]}.py"
        assert script.is_file(), f"{shown.place}: no {script.name}"
        text = script.read_text(encoding="utf-8")
        for option in (word for word in shown.words if word.startswith("--")):
            assert f'"{option}"' in text, f"{shown.place}: {script.name} has no {option}"
