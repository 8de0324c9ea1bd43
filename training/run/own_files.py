"""The files of training runs that lie in a workspace, for `avis-data doctor --workspace`."""

from __future__ import annotations

from pathlib import Path

from avis_data.errors import DataError
from avis_data.format_numbers import check_run
from avis_data.paths import Workspace
from avis_data.pipelines.doctor.files import FileKind, OwnFiles, not_read
from avis_data.report.run_log import read_run_log
from avis_data.training.checkpoints.trained import config_of_weights
from avis_data.training.config import load_config
from avis_data.training.run.run_folder import read_state
from avis_data.weights.files import read_metadata

__all__ = ["FILES"]

_AGAIN = "train again, into another folder; other files of the run can be used"
_GO_ON = "move it away, then: avis-data train-baseline --resume goes on from what is left"


def _weights(_workspace: Workspace, path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path}: is no file")
    config_of_weights(path)


FILES = OwnFiles(
    name="runs",
    kinds=(
        FileKind(
            name="format of a run",
            places=("runs/*/run.json",),
            read=lambda _, path: check_run(path.parent),
            advice=_AGAIN,
        ),
        FileKind(
            name="config of a run",
            places=("runs/*/config.yaml",),
            read=lambda _, path: load_config(path),
            advice="mend the key that is named; best.safetensors has the config in it too",
        ),
        FileKind(
            name="log of a run",
            places=("runs/*/log.jsonl",),
            read=lambda _, path: read_run_log(path.parent),
            advice="remove the line that is named",
        ),
        FileKind(name="best weights", places=("runs/*/best.safetensors",), read=_weights, advice=_AGAIN),
        FileKind(
            name="state of a checkpoint",
            places=("runs/*/checkpoints/*/state.json",),
            read=lambda _, path: read_state(path),
            advice=_GO_ON,
        ),
        FileKind(
            name="checkpoint",
            places=("runs/*/checkpoints/*/*.safetensors",),
            read=lambda _, path: read_metadata(path),
            advice=_GO_ON,
        ),
        FileKind(name="of a run", places=("runs/*/**",), read=not_read, advice=""),
    ),
)
