"""What a training run keeps on disk, each file whole or not there.

```
RUN/run.json                  the number of this format, and the version that began the run
RUN/config.yaml               the resolved config
RUN/start_weights.json       with --init: names of all tensors that were not taken from it, or that it lacks
RUN/log.jsonl                 a line every `loop.log_every` iterations, and one for each validation
RUN/tensorboard/              the same for TensorBoard, where that package is installed
RUN/samples/                  predictions drawn on validation frames
RUN/checkpoints/<iteration>/  model.safetensors, optimiser.safetensors, state.json: the last one
RUN/best.safetensors          weights with the best validation score; their config is in the file
```
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from filelock import FileLock, Timeout
from pydantic import Field
from safetensors.torch import save_file
from torch import Tensor, nn

from avis_data import __version__
from avis_data.config import record_from_json
from avis_data.errors import BusyError, ConfigError, DataError
from avis_data.format_numbers import RUN, RUN_FILE
from avis_data.io import (
    TEMPORARY_PREFIX,
    atomic_dir,
    atomic_path,
    remove,
    write_json,
    write_lines,
    write_text,
)
from avis_data.links.check import check_place
from avis_data.records import Record
from avis_data.training.config import RunConfig, config_values
from avis_data.weights.files import read_tensors

__all__ = ["Checkpoint", "RunFolder", "RunState", "read_state", "restore_optimiser"]

_MODEL, _OPTIMISER, _STATE = "model.safetensors", "optimiser.safetensors", "state.json"


class RunState(Record):
    """Where a run is. Samples, points and dropped paths are functions of seed and iteration: no more is needed."""

    iteration: int = Field(ge=0, le=2**53)
    """Changes of the weights so far."""
    best_score: float | None = None
    """Highest validation score so far."""
    best_iteration: int | None = None
    train_sha256: str
    """Hash of `train.json`: going on with other data would be another run."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint that was read."""

    model: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    state: RunState


class RunFolder:
    """The folder of one run."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def log(self) -> Path:
        """JSON lines."""
        return self.root / "log.jsonl"

    @property
    def best(self) -> Path:
        """The best weights."""
        return self.root / "best.safetensors"

    @property
    def samples(self) -> Path:
        """Drawings."""
        return self.root / "samples"

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.root / "config.yaml"

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """The folder, made if it is missing, for this run alone.

        Raises:
            BusyError: if another one writes in it.
            ConfigError: if it is a file.
            DataError: if it lies in a workspace, and a link leads out of that.
        """
        check_place(self.root)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise ConfigError(f"{self.root}: is a file, or lies in one; choose another --out") from None
        try:
            with FileLock(self.root / ".lock", timeout=0):
                yield
        except Timeout:
            raise BusyError(f"{self.root}: another training is writing here; wait for it, or end it") from None

    def check_new(self) -> None:
        """Raises ConfigError if the folder holds a run that has learnt something.

        A start that failed before the first change of the weights leaves a checkpoint, but nothing to keep: the
        corrected command may take its place.
        """
        last = self.last()
        if self.config.exists() and last is not None and int(last.name) > 0:
            raise ConfigError(f"{self.root}: holds a run already", hint="go on with --resume, or choose another --out")

    def write_config(self, config: RunConfig) -> None:
        """Keep the resolved config, beside the number of the run's format."""
        write_json(self.root / RUN_FILE, {"format": RUN.number, "tool": f"avis-data {__version__}"})
        write_text(self.config, yaml.safe_dump(config_values(config), sort_keys=False))

    def write_start(self, values: Mapping[str, object] | None) -> None:
        """Keep what was taken from start weights; None: there were none, and what an earlier start left goes."""
        target = self.root / "start_weights.json"
        if values is None:
            target.unlink(missing_ok=True)
        else:
            write_json(target, values)

    def checkpoint(self, iteration: int) -> Path:
        """Where the checkpoint of an iteration is, or would be."""
        return self.root / "checkpoints" / f"{iteration:07d}"

    def last(self) -> Path | None:
        """The folder of the newest whole checkpoint."""
        found = [path for path in (self.root / "checkpoints").glob("[0-9]*") if (path / _STATE).is_file()]
        return max(found, key=lambda path: int(path.name), default=None)

    def save(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, state: RunState, metadata: dict[str, str]
    ) -> Path:
        """Write a checkpoint, then remove older ones; `metadata` is what the weight file says of itself."""
        target = self.checkpoint(state.iteration)
        with atomic_dir(target) as part:
            save_file(_stored(model), part / _MODEL, metadata=metadata)
            save_file(_optimiser_tensors(optimiser), part / _OPTIMISER)
            write_json(part / _STATE, state.model_dump())
        for other in target.parent.iterdir():
            if other.name != target.name and other.name.removeprefix(TEMPORARY_PREFIX) and other.is_dir():
                remove(other)
        return target

    def save_best(self, model: nn.Module, metadata: dict[str, str]) -> None:
        """Write the weights as the best ones."""
        with atomic_path(self.best) as part:
            save_file(_stored(model), part, metadata=metadata)

    def read_last(self) -> Checkpoint:
        """The newest checkpoint. Raises DataError if there is none or it cannot be read."""
        folder = self.last()
        if folder is None:
            raise DataError(f"{self.root}: there is no checkpoint to go on from", hint="start without --resume")
        state = read_state(folder / _STATE)
        optimiser = read_tensors(folder / _OPTIMISER) if state.iteration else {}  # nothing is in it before a step
        return Checkpoint(model=read_tensors(folder / _MODEL), optimiser=optimiser, state=state)

    def append_log(self, entry: Mapping[str, object]) -> None:
        """Add a line to the log."""
        with self.log.open("a", encoding="utf-8") as out:
            out.write(json.dumps(entry, allow_nan=False) + "\n")

    def cut_log(self, iteration: int) -> None:
        """Remove the lines after an iteration: they come again."""
        if self.log.is_file():
            lines = self.log.read_text(encoding="utf-8").splitlines()
            write_lines(self.log, [line for line in lines if _iteration_of(line) <= iteration])


def read_state(path: Path) -> RunState:
    """The `state.json` of a checkpoint. Raises DataError if it is damaged; names the field."""
    return record_from_json(path, RunState, hint="move its folder away, or train again into another folder")


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor], *, where: Path) -> None:
    """Give an optimiser the state that `RunFolder.save` kept. Raises DataError if it is of other parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    number = 0
    left = dict(tensors)
    for group in optimiser.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            keys = [key for key in left if key.rpartition("/")[0] == name]
            state[number] = {key.rpartition("/")[2]: left.pop(key) for key in keys}
            shapes_fit = all(value.ndim == 0 or value.shape == parameter.shape for value in state[number].values())
            if not state[number] or not shapes_fit:
                raise DataError(f"{where}: holds no state of an optimiser for {name}; the model was changed")
            number += 1
    if left:
        raise DataError(f"{where}: holds the state of {len(left)} values that this model has not; it was changed")
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _stored(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous().cpu() for name, tensor in model.state_dict().items()}


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """`<parameter>/<what>` -> tensor."""
    tensors = {}
    for group in optimiser.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            for key, value in optimiser.state.get(parameter, {}).items():
                tensors[f"{name}/{key}"] = torch.as_tensor(value).detach().contiguous().cpu()
    return tensors


def _iteration_of(line: str) -> int:
    try:
        return int(json.loads(line)["iteration"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 1 << 62  # a line that was cut off by a kill
