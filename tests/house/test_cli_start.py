"""The command line answers at once: nothing heavy is imported for help, and every command has an example."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from click.testing import CliRunner

from avis_data.cli.commands import COMMANDS, GROUPS, cli
from support.places import ROOT

HEAVY = {"torch", "numpy", "pandas", "pyarrow", "scipy", "librosa", "av", "yt_dlp", "pydantic", "yaml", "PIL", "ray"}


OF_ONE_STAGE = {"torch", "yt_dlp", "pandas", "scipy", "ray", "transformers", "librosa"}
"""What takes a worker longer than all else that it imports, and only one stage needs, in its work."""


def test_help_imports_nothing_heavy() -> None:
    """One process asks every command for help: what the first of them imports is there from then on, and is told."""
    script = f"""
import sys
from avis_data.cli.main import main
for words in {[["--help"], *([name, "--help"] for name in COMMANDS)]!r}:
    assert main(words) == 0
    print("MODULES", words[0], *({HEAVY!r} & set(sys.modules)), file=sys.stderr)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    told = [line.split()[1:] for line in ran.stderr.splitlines() if line.startswith("MODULES")]
    assert [words[0] for words in told] == ["--help", *COMMANDS]
    assert [words for words in told if len(words) > 1][:1] == []


def test_a_worker_imports_only_what_its_stage_needs() -> None:
    """Every command that plans, and every worker, imports all stages; packing needs the table, and no network."""
    script = (
        "import sys\n"
        "import avis_data.pipelines.engine.executors.local, avis_data.pipelines.steps, avis_data.features.store\n"
        "from avis_data.pipelines.stages import STAGES\n"
        "print(len([STAGES[name] for name in STAGES.names()]), *sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    count, *modules = ran.stdout.split()
    assert int(count) > 5 and not OF_ONE_STAGE & set(modules)


@pytest.mark.parametrize("name", ["__init__", "cli/__init__", "cli/main"])
def test_nothing_is_imported_before_signals_are_heeded(name: str) -> None:
    """What these modules import as they are loaded comes before: Ctrl-C meanwhile is Python's own traceback."""
    top = ast.parse((ROOT / "avis_data" / f"{name}.py").read_text()).body
    imported = [alias.name for node in top if isinstance(node, ast.Import) for alias in node.names]
    imported += [str(node.module) for node in top if isinstance(node, ast.ImportFrom)]
    assert set(imported) <= {"__future__", "os", "sys"}, "Python has os and sys already when we begin"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example(name: str) -> None:
    shown = CliRunner().invoke(cli, [name, "--help"])
    assert shown.exit_code == 0
    assert "Example" in shown.output or name == "weights"
    assert f"avis-data {name}" in shown.output or "avis-data -C" in shown.output


def test_help_lists_every_command_under_what_it_is_for() -> None:
    """Labels and their agreement stand together, so that who leads annotation finds all of it in one place."""
    shown = CliRunner().invoke(cli, ["--help"]).output
    found: dict[str, list[str]] = {}
    for line in shown.splitlines():
        if line.removesuffix(":") in GROUPS:
            found[line.removesuffix(":")] = []
        elif found and line.startswith("  ") and line.split()[0] in COMMANDS:
            found[list(found)[-1]].append(line.split()[0])
    assert found == {title: list(commands) for title, commands in GROUPS.items()}
    assert found["Label it, and measure the labels"] == [
        *("annotate", "prelabel", "propagate", "review", "labels", "problems", "agreement")
    ]


def test_usage_errors_say_what_is_wrong_and_exit_with_2() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "avis_data", "fetch", "--no-such-option"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2 and "--no-such-option" in ran.stderr and "Traceback" not in ran.stderr
