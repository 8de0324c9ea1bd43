"""Without an extra every command works, or says which one it needs; with that one it works."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

import pytest

from avis_data import extras
from avis_data.annotation.labelstudio.settings import ServerSettings, new_secrets, write_secrets, write_settings
from avis_data.annotation.propagation.engines import ENGINES, find_engine
from avis_data.annotation.segmenters.engines import SEGMENTERS, load_segmenter
from avis_data.errors import ExitCode, ToolError
from avis_data.paths import Workspace
from support.documents import commands_of
from support.hidden_packages import distributions_of, extras_of_project, modules_of, run_python_with
from support.places import ROOT
from support.server import MediaServer
from support.tries import TRIES, Try, name_of

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
