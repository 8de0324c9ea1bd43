"""The group of all commands. A command's module is imported only when it is run or asked for help."""

from __future__ import annotations

import importlib
import os
from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from avis_data import __version__
from avis_data.errors import ConfigError

GROUPS = {
    "Build a dataset": {
        "init": "Make the folder a workspace, from a recipe.",
        "fetch": "Download the source videos of a list.",
        "extract": "Take stills and sound out of the source videos.",
        "preview": "Make small playable copies of the clips.",
        "embed": "Compute VGGish embeddings, one per still.",
        "fingerprint": "Make fingerprints, to find near-duplicates.",
        "run": "Fetch, extract and embed, in order.",
        "status": "Say what is done, what failed and why, what is left.",
        "import": "Bring existing truth into the workspace.",
        "export": "Write a dataset: formats, splits, certificate.",
        "convert": "Write a labelled set in another format, without a workspace.",
    },
    "Label it, and measure the labels": {
        "annotate": "Label clips in Label Studio: install, serve, push, pull, backup.",
        "prelabel": "Let machines label clips: who is seen, and who sounds when.",
        "propagate": "Carry masks drawn on some stills to all others of a clip.",
        "review": "Lead the rounds of review, from draft to accepted.",
        "labels": "Put labels right: swap, merge, split, delete, copy, undo.",
        "problems": "List all that needs a look, the worst first.",
        "agreement": "Say how far two annotators of the same clips agree.",
    },
    "Look at a dataset": {
        "duplicates": "List clips that are nearly the same.",
        "validate": "Check a YTVIS / AVISeg dataset and list its problems.",
        "stats": "Count videos, frames, masks, sources, categories.",
        "report": "Write one HTML page with contact sheets of a dataset.",
        "figures": "Draw the figures of a dataset paper, with their tables.",
    },
    "Keep a dataset for years": {
        "diff": "Say what changed between two versions of a dataset.",
        "patch": "Make a new version's truth of the old one and its changes.",
        "merge": "Join two workspaces, or a workspace and a set.",
        "rebuild": "Fetch again the media of a set that was published without them.",
        "datasheet": "Write the page that a dataset paper needs.",
        "remove": "Remove videos for good, with all that was made of them.",
        "rights": "List the videos by licence, and what the recipe holds back.",
        "prune": "Say what nobody wants any more, and remove it.",
        "du": "Say what takes the space.",
    },
    "Train and evaluate a model": {
        "train-baseline": "Train a baseline on an export.",
        "predict": "Predict the sounding objects of an export, or of a video.",
        "visualize": "Render predictions: video with sound, contact sheet.",
        "evaluate": "Compute FSLA, HOTA, AP and others of predictions.",
        "compare": "Say whether one set of predictions beats another.",
        "stress": "Say whether a model hears at all: silence, noise, other sounds.",
        "benchmark-model": "Measure speed, latency, parameters and memory of a model.",
        "weights": "List, check, register and convert weight files.",
    },
    "This machine, and something to try": {
        "doctor": "Check this machine: programs, packages, disk, weights.",
        "demo": "Show the whole chain on a small synthetic dataset.",
        "synth": "Make a synthetic dataset with exact truth.",
    },
}
"""The commands by what they are for, each with its one line, so that `avis-data --help` imports none of them."""

COMMANDS = {name: line for commands in GROUPS.values() for name, line in commands.items()}


STAGES_OF_OTHER_COMMANDS = {"adopt"}
"""What `import` does."""

MAKES_A_WORKSPACE = {"init", "fetch", "run", "import"}
"""Commands that `-C DIR` makes the folder for."""


STARTED_IN = "avis_data.started_in"
"""Under this name click's context has the folder that the command was typed in, where -C leads to another."""


class LazyGroup(click.Group):
    """A click group whose commands live in `avis_data.cli.<name>` as the attribute `command`.

    Every stage that is added has a command too, made from its spec.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *_added_stages()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _added_stages():
            from avis_data.cli.run_steps import added_stage_command

            return added_stage_command(cmd_name)
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"avis_data.cli.{cmd_name.replace('-', '_')}_command")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:{width}}", line) for name, line in commands.items()])
        if added := _added_stages():
            with formatter.section("Stages that were added"):
                formatter.write_dl([(f"{name:{width}}", f"See avis-data {name} --help.") for name in added])


def _added_stages() -> list[str]:
    """Stages without a line of their own above; none of them is imported to be listed."""
    from avis_data.pipelines.stages import STAGES

    return [name for name in STAGES.names() if name not in COMMANDS and name not in STAGES_OF_OTHER_COMMANDS]


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 all done, 1 bug, 2 usage, 3 bad input, 4 some items failed, 5 missing tool, 130 interrupted.",
)
@click.option(
    "-C", "directory", type=click.Path(path_type=Path), metavar="DIR", help="Work in DIR instead of the current folder."
)
@click.option("-v", "--verbose", count=True, help="Log one line per stage (-v) or per item (-vv) to stderr.")
@click.version_option(__version__, prog_name="avis-data")
@click.pass_context
def cli(context: click.Context, directory: Path | None, verbose: int) -> None:
    """From a list of videos to a trained, evaluated model of which objects make the sound.

    \b
    Example:
      avis-data synth --num-clips 8 --seconds 10 --seed 1 --out world
      avis-data -C dataset fetch --list ../world/videos.csv --allow-local   (-C first, as in git)
      avis-data -C dataset run --untrained
    """
    from avis_data.log import set_up_logging

    set_up_logging(verbose)
    started_in = _started_in()
    if directory is not None:
        if context.invoked_subcommand in MAKES_A_WORKSPACE:
            directory.mkdir(parents=True, exist_ok=True)
        if not directory.is_dir():
            raise ConfigError(f"-C {directory}: no such folder", hint="avis-data -C FOLDER init makes one")
        context.meta[STARTED_IN] = started_in
        os.chdir(directory)
        context.call_on_close(partial(_go_back, started_in))


def _started_in() -> Path:
    """The folder that the command was typed in; one that was deleted meanwhile is told."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise ConfigError(
            "the folder that you are in is no longer there: it was deleted, or moved away",
            hint="cd to one that is there, then run the same command again",
        ) from None


def _go_back(folder: Path) -> None:
    """A notebook that runs a command with -C stays in the folder that it was in."""
    with suppress(OSError):  # it was deleted meanwhile
        os.chdir(folder)
