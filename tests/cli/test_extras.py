"""Without an extra every command works, or says which one it needs; with that one it works."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import click
import pytest

from avis_data import extras
from avis_data.annotation.labelstudio.settings import ServerSettings, new_secrets, write_secrets, write_settings
from avis_data.annotation.propagation.engines import ENGINES, find_engine
from avis_data.annotation.segmenters.engines import SEGMENTERS, load_segmenter
from avis_data.cli.main import cli
from avis_data.errors import ExitCode, ToolError
from avis_data.paths import Workspace
from avis_data.training.registry import MODELS
from support.documents import commands_of
from support.hidden_packages import distributions_of, extras_of_project, modules_of, run_python_with
from support.places import ROOT
from support.server import MediaServer

EXPORT = "ws/exports/ytvis"
SMALL = "--num-frames 2 --size 64x64 --repeats 1 --device cpu"
TRAIN = f"train-baseline --data {EXPORT} --set loop.iterations=1 --set data.workers=0 --device cpu"
TINY = {"avism": "avism_tiny", "rcf": "rcf_tiny", "afcv": "afcv_tiny", "avs-bg": "avs_bg_tiny"}
"""A small config of each model."""


@dataclass(frozen=True)
class Try:
    """A command line in a folder that holds the workspace `ws`."""

    line: str
    needs: extras.Extra | None = None
    """Without this extra the command ends with a word about it."""
    works: bool = True
    """Whether it ends well where its packages are there; if not, more is missing here, and it says what."""

    @property
    def codes(self) -> list[ExitCode]:
        return [ExitCode.OK] if self.works else [ExitCode.USAGE, ExitCode.BAD_INPUT, ExitCode.MISSING_TOOL]


TRIES = (
    Try("synth --num-clips 3 --seconds 3 --size 64x64 --video-fps 4 --workers 1 --out world"),
    Try("-C ws init"),
    Try("-C ws fetch --list ../world/videos.csv --allow-local --sleep 0"),
    Try("-C ws extract --executor ray", needs="scale"),
    Try("-C ws extract --workers 1"),
    Try("-C ws preview --workers 1"),
    Try("-C ws embed --untrained --workers 1"),
    Try("-C ws run --untrained --workers 1"),
    Try("-C ws status"),
    Try("-C ws import --format ytvis ../world/truth.json"),
    Try("-C ws export --format ytvis --split 1/1/1"),
    Try(f"validate {EXPORT}"),
    Try(f"stats {EXPORT}"),
    Try(f"report {EXPORT} --out report.html"),
    Try(f"evaluate --truth {EXPORT}/test.json --pred none.json"),
    Try(f"compare none.json none.json --truth {EXPORT}/test.json"),
    Try(f"visualize --data {EXPORT} --pred none.json --out shown"),
    Try("-C ws annotate install --help"),
    Try("-C ws annotate serve --env ../none", needs="annotate", works=False),
    Try("-C ws annotate push --round draft", needs="annotate", works=False),
    Try("-C ws annotate pull", needs="annotate", works=False),
    Try("-C ws annotate status", needs="annotate", works=False),
    Try("-C ws propagate --workers 1", needs="annotate"),
    Try("-C ws review start", needs="annotate", works=False),
    Try("-C ws review status"),
    Try("-C ws review history nobody", works=False),
    Try("-C ws review confirm nobody", works=False),
    Try("-C ws review close draft", works=False),
    Try("-C ws agreement"),
    Try(f"{TRAIN} --config avism_tiny --out run", needs="train"),
    Try(f"predict --checkpoint run --data {EXPORT} --out results.json --device cpu", needs="train"),
    *(Try(f"benchmark-model --config {config} {SMALL}", needs="train") for config in TINY.values()),
    Try("weights convert none.json --out ours.safetensors", needs="train", works=False),
    Try("weights add none.json", works=False),
    Try("weights list"),
    Try("weights check"),
    Try("doctor"),
    Try("demo --num-clips 1", works=False),
    Try("demo --help"),
)
PROGRAM = """
import contextlib, io, json, os, shlex, sys

if __name__ == "__main__":
    from avis_data.cli.main import main

    found, start = [], os.getcwd()
    for line in json.loads(sys.stdin.read()):
        os.chdir(start)
        said, told = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
            code = main(shlex.split(line))
        found.append([int(code), told.getvalue()])
    print(json.dumps(found))
"""


def ended(tries: Sequence[Try], chosen: Sequence[str], folder: Path) -> Iterator[tuple[Try, ExitCode, str]]:
    """How commands end where these extras are there and nothing else: exit code, and what stands on stderr."""
    program = folder / "program.py"
    program.write_text(PROGRAM)
    environment = folder / "-".join(("with", *chosen))
    lines = json.dumps([item.line for item in tries])
    ran = run_python_with(chosen, environment, program, cwd=folder, stdin=lines)
    assert ran.returncode == 0, ran.stderr
    for item, (code, told) in zip(tries, json.loads(ran.stdout), strict=True):
        yield item, ExitCode(code), told


def name_of(line: str) -> str:
    words = line.removeprefix("-C ws ").split()
    is_group = isinstance(cli.get_command(click.Context(cli), words[0]), click.Group)
    return " ".join(words[: 1 + is_group])


def all_commands(group: click.Group = cli, before: str = "") -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{before}{name} ")
        else:
            yield before + name


def test_every_command_and_every_model_is_tried() -> None:
    assert {name_of(item.line) for item in TRIES} == set(all_commands())
    assert set(TINY) == set(MODELS.names())


def test_the_table_of_extras_is_that_of_the_project() -> None:
    """An extra has a name in the program, and what is asked for there is brought by it and not by all."""
    assert set(get_args(extras.Extra)) == set(extras.MODULES) == set(extras_of_project())
    for extra, modules in extras.MODULES.items():
        if extra != "youtube":  # nothing of it is needed to test
            assert set(modules) <= modules_of(distributions_of(extra)) - modules_of(distributions_of()), extra


def test_everything_on_the_page_of_training_needs_no_other_extra() -> None:
    works = {name_of(item.line) for item in TRIES if item.needs in (None, "train")}
    shown = [shown for shown in commands_of(ROOT / "docs" / "training.md") if shown.words[0] == "avis-data"]
    assert len(shown) > 5
    for command in shown:
        words = command.words[3:] if command.words[1] == "-C" else command.words[1:]
        assert words[0] in works and "--executor" not in words, command.place


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for the workspace `ws`, where a server is named that knows nobody, so that commands ask for it."""
    (tmp_path / "none.json").write_text("[]")
    (tmp_path / "ws" / "label-studio").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    with MediaServer(tmp_path / "empty") as server:
        workspace = Workspace(tmp_path / "ws")
        write_settings(workspace, ServerSettings(url=server.url("").rstrip("/"), clips_folder="/nowhere"))
        write_secrets(workspace, new_secrets())
        yield tmp_path


@pytest.mark.slow
def test_a_plain_install_works_or_says_what_it_needs(folder: Path) -> None:
    """And what needs one extra works with that one alone, so it needs no second one."""
    wrong = []
    for item, code, told in ended(TRIES, (), folder):
        expected = [ExitCode.MISSING_TOOL] if item.needs else item.codes
        if code not in expected or hint_of(told) != item.needs:
            wrong.append(f"{item.line}: {code!r}\n{told}")
    for extra in ("train", "annotate"):
        for item, code, told in ended([item for item in TRIES if item.needs == extra], (extra,), folder):
            if code not in item.codes or hint_of(told):
                wrong.append(f"with {extra}: {item.line}: {code!r}\n{told}")
    assert not wrong, "\n".join(wrong)


def hint_of(told: str) -> str | None:
    """The extra that a command asks for."""
    found = re.search(r"^  hint: pip install 'avis-data\[(\w+)\]'$", told, re.MULTILINE)
    return found[1] if found else None


def engines() -> Iterator[tuple[str, partial[object]]]:
    for name in SEGMENTERS.names():
        yield f"segmenter {name}", partial(load_segmenter, name, None if SEGMENTERS[name].load else Path("/"))
    for name in ENGINES:
        yield f"propagation {name}", partial(find_engine, name, None if name == "optical-flow" else Path("/"))


@pytest.mark.parametrize("load", [pytest.param(load, id=name) for name, load in engines()])
def test_an_engine_says_which_extra_it_needs(load: partial[object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_is_there", lambda name: False)
    with pytest.raises(ToolError) as caught:
        load()
    assert caught.value.hint == "pip install 'avis-data[annotate]'"
