"""A short run of every command, and which extra it needs."""

from __future__ import annotations

from dataclasses import dataclass

import click

from avis_data import extras
from avis_data.cli.commands import cli
from avis_data.errors import ExitCode

__all__ = ["TINY", "TRIES", "Try", "name_of"]

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
    Try("-C ws fingerprint --workers 1"),
    Try("-C ws duplicates --html duplicates.html --csv duplicates.csv"),
    Try("-C ws run --untrained --workers 1"),
    Try("-C ws status"),
    Try("-C ws remove --exports"),
    Try("-C ws rights"),
    Try("-C ws prune"),
    Try("-C ws du"),
    Try("-C ws import --format ytvis ../world/truth.json"),
    Try("-C ws export --format ytvis --split 1/1/1"),
    Try("-C ws datasheet --split 1/1/1"),
    Try("merge ws ws/exports/ytvis --out merged --dry-run", works=False),
    Try("rebuild ws/exports/ytvis --out rebuilt --dry-run", works=False),
    Try(f"convert {EXPORT}/test.json --format ytvis --to coco --out coco"),
    Try(f"validate {EXPORT}"),
    Try(f"stats {EXPORT}"),
    Try(f"diff {EXPORT} {EXPORT} --html diff.html --save changes.json"),
    Try(f"patch {EXPORT} changes.json --out patched"),
    Try(f"report {EXPORT} --out report.html"),
    Try(f"figures {EXPORT} --out figures"),
    Try(f"evaluate --truth {EXPORT}/test.json --pred none.json"),
    Try(f"compare none.json none.json --truth {EXPORT}/test.json"),
    Try(f"visualize --data {EXPORT} --pred none.json --out shown"),
    Try("-C ws annotate install --help"),
    Try("-C ws annotate serve --env ../none", needs="annotate", works=False),
    Try("-C ws annotate push --round draft", needs="annotate", works=False),
    Try("-C ws annotate backup --out backup", works=False),
    Try("-C ws annotate restore world", works=False),
    Try("-C ws annotate pull", needs="annotate", works=False),
    Try("-C ws annotate status", needs="annotate", works=False),
    Try("-C ws prelabel --workers 1", needs="annotate", works=False),
    Try("-C ws propagate --workers 1", needs="annotate"),
    Try("-C ws review start", needs="annotate", works=False),
    Try("-C ws review status"),
    Try("-C ws review history nobody", works=False),
    Try("-C ws review confirm nobody", works=False),
    Try("-C ws review close draft", needs="annotate", works=False),
    Try("-C ws review assign nobody --give-to a@example.com", needs="annotate", works=False),
    Try("-C ws review reopen nobody --note why", works=False),
    Try("-C ws review settle nobody accept --note why", works=False),
    Try("-C ws review comment nobody --note why", works=False),
    Try("-C ws problems --html problems.html"),
    Try("-C ws labels swap nobody dog_1 dog_2", works=False),
    Try("-C ws labels merge nobody dog_1 dog_2", works=False),
    Try("-C ws labels split nobody dog_1 dog_2 --from 1", works=False),
    Try("-C ws labels delete nobody dog_1", works=False),
    Try("-C ws labels copy nobody dog_1 --from 1 --onto 2", works=False),
    Try("-C ws labels undo nobody", works=False),
    Try("-C ws labels list nobody", works=False),
    Try("-C ws agreement"),
    Try(f"{TRAIN} --config avism_tiny --out run", needs="train"),
    Try(f"predict --checkpoint run --data {EXPORT} --out results.json --device cpu", needs="train"),
    Try(f"stress plan --data {EXPORT} --conditions silence --out stress.json"),
    Try(f"stress make stress.json --data {EXPORT} --out stressed"),
    Try(f"stress run stress.json --data {EXPORT} --checkpoint run --out heard --device cpu", needs="train"),
    Try(f"stress score stress.json none --truth {EXPORT}/test.json", works=False),
    *(Try(f"benchmark-model --config {config} {SMALL}", needs="train") for config in TINY.values()),
    Try("weights convert none.json --out ours.safetensors", needs="train", works=False),
    Try("weights add none.json", works=False),
    Try("weights get u2netp --from none.onnx", works=False),
    Try("weights list"),
    Try("weights check"),
    Try("doctor"),
    Try("demo --num-clips 1", works=False),
    Try("demo --help"),
)


def name_of(line: str) -> str:
    """Which command a line calls: `fetch`, `annotate push`."""
    words = line.removeprefix("-C ws ").split()
    is_group = isinstance(cli.get_command(click.Context(cli), words[0]), click.Group)
    return " ".join(words[: 1 + is_group])
