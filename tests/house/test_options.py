"""One name of an option means one thing in all commands, and every command shows an example that can be run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import click
import pytest

from avis_data.cli.commands import cli
from support.places import ROOT

DIFFERENT_ON_PURPOSE = {
    "--labels": "of a removal a flag; of a push how many of which category",
    "--round": "push offers only the draft round, as later ones are given out by `review start`; pull takes several",
    "--pred": "visualize shows several side by side",
    "--from": "labels are changed from a still onward; weights come from a mirror or a file",
    "--reason": "of a removal there are four, which are counted; a round is closed for any words",
}
"""Names whose kind of value differs between commands, with the reason."""


@dataclass(frozen=True)
class Meaning:
    """What a person is told of an option, but for its default and whether it must be given."""

    names: tuple[str, ...]
    kind: str
    metavar: str | None
    help: str | None
    is_flag: bool
    multiple: bool


def commands(group: click.Command = cli, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command with its name, subcommands as `review start`."""
    if not isinstance(group, click.Group):
        yield name, group
        return
    context = click.Context(group)
    for sub in group.list_commands(context):
        command = group.get_command(context, sub)
        assert command is not None
        yield from commands(command, f"{name} {sub}".strip())


def options(command: click.Command) -> Iterator[click.Option]:
    """Its own, and those that depend on what is registered; `--help` is click's."""
    found = command.get_params(click.Context(command))
    return (option for option in found if isinstance(option, click.Option) and "--help" not in option.opts)


COMMANDS = dict(commands())


def meanings() -> dict[str, dict[Meaning, list[str]]]:
    """Name of an option to its meanings, and the commands that have them."""
    found: dict[str, dict[Meaning, list[str]]] = {}
    for command_name, command in COMMANDS.items():
        for option in options(command):
            meaning = Meaning(
                names=tuple(option.opts),
                kind=option.type.name,
                metavar=option.metavar,
                help=option.help,
                is_flag=option.is_flag,
                multiple=option.multiple,
            )
            for name in option.opts:
                found.setdefault(name, {}).setdefault(meaning, []).append(command_name)
    return found


def test_an_option_means_the_same_in_every_command() -> None:
    for name, found in meanings().items():
        if name not in DIFFERENT_ON_PURPOSE:
            assert len(found) == 1, f"{name} has {len(found)} meanings: {found}"
        assert len({meaning.help for meaning in found}) == 1, f"{name} has several help texts"


def test_every_exception_is_one() -> None:
    assert {name for name, found in meanings().items() if len(found) > 1} == set(DIFFERENT_ON_PURPOSE)


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("--clips", "ids"),
        ("--num-clips", "How many clips"),
        ("--on", "split"),
        ("--weights", "VGGish"),
        ("--checkpoint", "trained model"),
        ("--truth", "true masks"),
        ("--objects", "sound"),
        ("--fps", "Labelled frames per second"),
        ("--video-fps", "Pictures of the video per second"),
        ("--workers", "at once"),
        ("--json", "one JSON object"),
    ],
)
def test_names_mean_what_the_documents_say(name: str, meaning: str) -> None:
    ((found, _),) = meanings()[name].items()
    assert meaning in (found.help or "")


def test_workers_have_a_short_name_everywhere() -> None:
    ((found, users),) = meanings()["--workers"].items()
    assert found.names == ("--workers", "-j") and meanings()["-j"] == {found: users}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text_that_is_a_sentence(name: str) -> None:
    for option in options(COMMANDS[name]):
        text = option.help or ""
        assert text[:1].isupper() or text.split()[0].rstrip(",:") in ("auto", "avs", "aviseg"), (
            f"{option.opts}: {text!r}"
        )
        assert text.endswith("."), f"{option.opts}: {text!r}"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_first_line_of_help_says_what_the_command_does(name: str) -> None:
    first = (COMMANDS[name].help or "").split("\n\n")[0]
    assert first.split()[0] not in ("What", "Where", "Which", "How", "Who", "When") and first[:1].isupper(), first
    assert first.endswith("."), first


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example_that_can_be_run(name: str) -> None:
    lines = re.findall(r"^ *avis-data (.*)$", COMMANDS[name].help or "", flags=re.MULTILINE)
    assert any(name in line for line in lines), f"no example of {name}"
    for line in lines:
        words = re.sub(r"  +\(.*\)$", "", line)
        try:
            _parse(shlex.split(words))
        except click.BadParameter as error:
            assert "does not exist" in error.message, f"{line}: {error.message}"


def _parse(words: list[str]) -> None:
    context = cli.make_context("avis-data", words)
    group: click.Command = cli
    while isinstance(group, click.Group):
        name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None and name is not None
        context = command.make_context(name, list(rest), parent=context)
        group = command


def shared_options() -> list[str]:
    """The rows of docs/options.md: names, help and commands of every option that several commands have."""
    rows = []
    for name, found in sorted(meanings().items()):
        (meaning, *_), users = found, [user for each in found.values() for user in each]
        if name.startswith("--") and len(users) > 1:
            value = "" if meaning.is_flag or not meaning.metavar else f" {meaning.metavar}".replace("|", "\\|")
            also = "".join(f", `{other}`" for other in meaning.names if other != name)
            names = ", ".join(user for user in COMMANDS if user in users)
            rows.append(f"| `{name}{value}`{also} | {meaning.help} | {names} |")
    return rows


def test_the_page_of_options_is_what_the_commands_have() -> None:
    text = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `--")]
    assert rows == shared_options(), "docs/options.md should have:\n" + "\n".join(shared_options())
