"""What a person sees of a training run: a bar on a terminal or a line now and then, JSON lines, TensorBoard."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor
from tqdm import tqdm

from avis_data.metrics.text_tables import headline_text
from avis_data.training.device import most_memory_mb
from avis_data.training.run.distributed import Processes
from avis_data.training.run.run_folder import RunFolder
from avis_data.training.task import Figures

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["StepRecord", "TrainingLog"]

logger = logging.getLogger(__name__)
_LINE_EVERY_S = 30.0


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One iteration."""

    iteration: int
    """Counted from 1."""
    losses: dict[str, Tensor]
    """Weighted, by name, of this process; their sum was minimised."""
    gradient_norm: Tensor
    """Before it was limited."""
    rate: float
    """Learning rate of all but the backbone."""
    seconds: float
    """Seconds of the whole iteration."""
    waited_s: float
    """Seconds of these that were spent waiting for decoded frames."""
    stop_requested: bool
    """Whether this is the last iteration for now."""


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A line of the log: means over the iterations since the last one, and over the processes."""

    iteration: int
    loss: float
    losses: dict[str, float]
    gradient_norm: float | None
    """None where it is no number."""
    rate: float
    seconds_per_iteration: float
    data_wait_share: float
    memory_mb: float
    """The most that was needed so far."""


class TrainingLog:
    """Takes the records of a run; every process must add the same iterations."""

    def __init__(
        self, folder: RunFolder, *, total: int, first: int, processes: Processes, device: torch.device
    ) -> None:
        self._folder, self._processes, self._device = folder, processes, device
        self._shown = processes.is_first
        quiet = not (self._shown and sys.stderr.isatty())
        self._bar = tqdm(total=total, initial=first, desc="train", unit="it", disable=quiet, dynamic_ncols=True)
        self._board = _board(folder) if self._shown else None
        self._total = total
        self._pending: list[StepRecord] = []
        self._seconds = self._waited_s = 0.0
        self._said_at = time.monotonic()

    @property
    def data_wait_share(self) -> float:
        """The share of the time of all iterations so far that was spent waiting for decoded frames."""
        return self._waited_s / self._seconds if self._seconds else 0.0

    def add(self, record: StepRecord, *, every: int) -> None:
        """One iteration; every so many, and at the end, a line of their means is written."""
        self._pending.append(record)
        self._seconds += record.seconds
        self._waited_s += record.waited_s
        self._bar.update()
        if record.iteration % every == 0 or record.iteration == self._total or record.stop_requested:
            self._write()

    def add_validation(self, iteration: int, figures: Figures) -> None:
        """The figures of a validation."""
        if not self._shown:
            return
        self._folder.append_log({"iteration": iteration, "validation": figures})
        self._say(f"iteration {iteration}: validation, strict: {headline_text(figures['strict'])}")
        for mode, values in figures.items():
            for name, value in values.items():
                self._plot(f"validation.{mode}/{name}", value, iteration)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._board is not None:
            self._board.close()

    def _write(self) -> None:
        """Means over the pending records and over the processes."""
        names = list(self._pending[0].losses)
        rows = [
            torch.stack([*record.losses.values(), record.gradient_norm.to(record.losses[names[0]])])
            for record in self._pending
        ]
        means = self._processes.averaged(torch.stack(rows).float().mean(dim=0)).tolist()
        seconds = sum(record.seconds for record in self._pending)
        waited_s = sum(record.waited_s for record in self._pending)
        last = self._pending[-1]
        line = _Line(
            iteration=last.iteration,
            loss=sum(means[:-1]),
            losses=dict(zip(names, means, strict=False)),
            gradient_norm=means[-1] if math.isfinite(means[-1]) else None,
            rate=last.rate,
            seconds_per_iteration=seconds / len(self._pending),
            data_wait_share=waited_s / seconds if seconds else 0.0,
            memory_mb=most_memory_mb(self._device),
        )
        self._pending = []
        if self._shown:
            self._folder.append_log(asdict(line))
            self._show(line)

    def _show(self, line: _Line) -> None:
        for name, value in asdict(line).items():
            if name not in ("iteration", "losses"):
                self._plot(f"training/{name}", value, line.iteration)
        for name, value in line.losses.items():
            self._plot(f"losses/{name}", value, line.iteration)
        parts = {
            "loss": f"{line.loss:.2f}",
            "s/it": f"{line.seconds_per_iteration:.2f}",
            "data": f"{100 * line.data_wait_share:.0f}%",
            "mem": f"{line.memory_mb:.0f}M",
            **{kind: f"{value:.2f}" for kind, value in _by_kind(line.losses).items()},
        }
        self._bar.set_postfix(parts, refresh=False)
        now = time.monotonic()
        if self._bar.disable and (now - self._said_at >= _LINE_EVERY_S or line.iteration == self._total):
            self._said_at = now
            shown = ", ".join(f"{name} {value}" for name, value in parts.items())
            self._say(f"iteration {line.iteration} of {self._total}: {shown}")

    def _plot(self, name: str, value: float | None, iteration: int) -> None:
        if self._board is not None and value is not None:
            self._board.add_scalar(name, value, iteration)

    def _say(self, text: str) -> None:
        tqdm.write(f"train: {text}", file=sys.stderr)


def _by_kind(losses: Mapping[str, float]) -> dict[str, float]:
    """Sums of the losses of all layers: the last part of a name says of which kind it is (`frame.0.mask`: mask)."""
    sums: dict[str, float] = {}
    for name, value in losses.items():
        kind = name.rpartition(".")[2]
        sums[kind] = sums.get(kind, 0.0) + value
    return sums


def _board(folder: RunFolder) -> SummaryWriter | None:
    """The TensorBoard log; None, with a word about it, where that package is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.warning("no TensorBoard log: pip install 'avis-data[train]'; log.jsonl holds the same")
        return None
    return SummaryWriter(str(folder.root / "tensorboard"))
