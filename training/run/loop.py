"""The training loop: passes, changes of the weights, log, validation, checkpoints, and going on from them."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from avis_data.errors import ConfigError, DataError, ToolError
from avis_data.io import sha256_file
from avis_data.metrics.table import headline_score
from avis_data.training.checkpoints.trained import load_exactly, weights_metadata
from avis_data.training.config import RunConfig
from avis_data.training.data.clips import Sample, TrainingBatch
from avis_data.training.data.loading import batches
from avis_data.training.data.sampling import SampleNumbers
from avis_data.training.device import set_products
from avis_data.training.models.backbones import Backbone
from avis_data.training.models.shared import SharedBatchNorm, dropping_for
from avis_data.training.registry import MODELS
from avis_data.training.run.distributed import Processes
from avis_data.training.run.division import divided
from avis_data.training.run.optimiser import build_optimiser, rate_factor, set_rate
from avis_data.training.run.run_folder import RunFolder, RunState, restore_optimiser
from avis_data.training.run.training_log import StepRecord, TrainingLog
from avis_data.training.task import Figures, Split, task_of

__all__ = ["StopRequest", "Trainer", "TrainingResult", "out_of_memory"]


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_Handler = Callable[[int, FrameType | None], object] | int | None


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """How a run ended."""

    iteration: int
    finished: bool
    """False if it was interrupted; the checkpoint is there."""
    best_score: float | None
    best_iteration: int | None
    data_wait_share: float
    """Share of the time in this call that was spent waiting for decoded frames."""


class Trainer:
    """One run in one process (of several, where torchrun started them)."""

    def __init__(
        self,
        config: RunConfig,
        data: Path,
        model: nn.Module,
        folder: RunFolder,
        *,
        device: torch.device,
        processes: Processes,
        train: Split | None = None,
    ) -> None:
        """Open the data and make the optimiser; nothing is written yet.

        Args:
            model: with its weights at the start, on the device.
            train: the split `train` of the data, if it is open already.

        Raises:
            ConfigError: if the batch cannot be divided among the processes, or the model cannot be shared by them.
            DataError: if the data are not in order.
        """
        self.config, self.folder, self.device, self.processes = config, folder, device, processes
        self.model = model
        self.division = divided(config, processes.world_size, scale=False)
        _check_division(config, model, processes, used=self.division.processes)
        task = task_of(config)
        train = train or task.open(data, "train", config)
        self.metadata = weights_metadata(config, train.categories)
        self.samples = train.samples(config)
        self.val: Split | None = None
        if config.validation.every or config.validation.draw_every:
            self.val = task.open(data, config.validation.split, config)
            self.val.need_labels()
        _prepare(model, config)
        self.optimiser = build_optimiser(model, config.optimiser)
        self.parallel = processes.wrapped(model)
        self.state = RunState(iteration=0, train_sha256=sha256_file(train.truth))
        self._saved_at: int | None = None
        self._changing = False

    def resume(self) -> None:
        """Go on from the last checkpoint of the folder. Raises DataError if it is of another model or other data."""
        found = self.folder.read_last()
        if found.state.train_sha256 != self.state.train_sha256:
            raise DataError(
                f"{self.folder.root}: was trained with another train.json",
                hint="choose another --out, without --resume",
            )
        load_exactly(self.model, found.model, where=self.folder.root)
        if found.state.iteration:
            restore_optimiser(self.optimiser, found.optimiser, where=self.folder.root)
        self.state = found.state
        self._saved_at = found.state.iteration
        if self.processes.is_first:
            self.folder.cut_log(found.state.iteration)
        self.processes.wait()

    def run(self) -> TrainingResult:
        """Train to the last iteration, or until Ctrl-C; a checkpoint is written in both cases, and before errors.

        A run that begins writes one too: it can be gone on with from the first moment, start weights included.

        Raises:
            DataError: if a file is bad, or the loss or its gradient is no number.
            ToolError: if memory runs out.
        """
        loop = self.config.loop
        stopped = False
        with (
            StopRequest() as stop,
            TrainingLog(
                self.folder,
                total=loop.iterations,
                first=self.state.iteration,
                processes=self.processes,
                device=self.device,
            ) as log,
        ):
            try:
                self._keep()
                ready = self._batches()
                while self.state.iteration < loop.iterations and not stopped:
                    record = self.iterate(ready, stop)
                    stopped = record.stop_requested
                    log.add(record, every=loop.log_every)
                    self._after(log, stopped)
            except torch.OutOfMemoryError as error:
                raise out_of_memory(error, self.config) from None
            finally:
                self._keep()
            share = log.data_wait_share
        return TrainingResult(
            iteration=self.state.iteration,
            finished=not stopped or self.state.iteration >= loop.iterations,
            best_score=self.state.best_score,
            best_iteration=self.state.best_iteration,
            data_wait_share=share,
        )

    def iterate(self, ready: Iterator[TrainingBatch[Sample]], stop: StopRequest | None = None) -> StepRecord:
        """One change of the weights."""
        began = time.perf_counter()
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        passes = self.division.passes
        total: dict[str, Tensor] = {}
        waited = 0.0
        clips: list[str] = []
        for number in range(passes):
            before = time.perf_counter()
            batch = next(ready).to(self.device)
            waited += time.perf_counter() - before
            clips += [clip.clip_id for clip in batch.clips]
            self._seed_pass(number)
            keys = self._keys(number)
            losses = self._losses(batch, keys, synchronised=number == passes - 1)
            for name, loss in losses.items():
                total[name] = total.get(name, torch.zeros_like(loss)) + loss / passes
            stops = self._check(losses, batch, keys, stop)
        rate = rate_factor(self.config.schedule, self.state.iteration, self.config.loop.iterations)
        set_rate(self.optimiser, rate)
        norm = self._clipped_norm()
        if not math.isfinite(norm.item()):
            shared = {name for part in self.processes.gathered(clips) for name in part}
            raise self._no_number("the gradient is not a number", sorted(shared))
        self._changing = True
        self.optimiser.step()
        self.state = self.state.model_copy(update={"iteration": self.state.iteration + 1})
        self._changing = False
        return StepRecord(
            iteration=self.state.iteration,
            losses=total,
            gradient_norm=norm,
            rate=rate * self.config.optimiser.rate,
            seconds=time.perf_counter() - began,
            waited_s=waited,
            stop_requested=stops,
        )

    def gradients(self, ready: Iterator[TrainingBatch[Sample]]) -> dict[str, Tensor]:
        """The gradients of the next iteration's batch, averaged over the processes; the weights stay."""
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        self._losses(next(ready).to(self.device), self._keys(0), synchronised=True)
        return {name: value.grad.clone() for name, value in self.model.named_parameters() if value.grad is not None}

    def _batches(self) -> Iterator[TrainingBatch[Sample]]:
        numbers = SampleNumbers(
            first_iteration=self.state.iteration,
            iterations=self.config.loop.iterations,
            accumulate=self.division.passes,
            per_process=self.division.clips,
            rank=self.processes.rank,
            world_size=self.processes.world_size,
        )
        pinned = self.device.type == "cuda"
        return batches(self.samples, numbers, workers=self.config.data.workers, pinned=pinned)

    def _seed_pass(self, number: int) -> None:
        """What a model draws by itself is a function of seed, iteration, pass and process: so it is when resumed."""
        place = [self.config.loop.seed, self.state.iteration, number, self.processes.rank]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))

    def _keys(self, number: int) -> list[int]:
        """By which the samples of a pass are dropped from: a function of seed and sample, whoever computes it."""
        clips, whole = self.division.clips, self.division.clips * self.division.processes
        first = (self.state.iteration * self.division.passes + number) * whole + self.processes.rank * clips
        seeds = [np.random.SeedSequence([self.config.loop.seed, 2, sample]) for sample in range(first, first + clips)]
        return [int(seed.generate_state(1)[0]) for seed in seeds]

    def _losses(self, batch: TrainingBatch[Sample], keys: list[int], *, synchronised: bool) -> dict[str, Tensor]:
        """Forward and backward; gradients are added up, and averaged over the processes if `synchronised`."""
        with (
            dropping_for(keys),
            _unsynchronised(self.parallel, not synchronised),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.loop.precision == "bf16"),
        ):
            losses: dict[str, Tensor] = self.parallel(batch)
            total = torch.stack(list(losses.values())).sum() / self.division.passes
            torch.autograd.backward(total)
        return {name: loss.detach() for name, loss in losses.items()}

    def _check(
        self, losses: dict[str, Tensor], batch: TrainingBatch[Sample], keys: list[int], stop: StopRequest | None
    ) -> bool:
        """Whether some process was asked to stop; raises DataError in all of them if the loss of one is no number."""
        total = torch.stack(list(losses.values())).sum().float()
        asked = torch.full((), float(stop is not None and stop.asked), device=total.device)
        mean, asked = self.processes.averaged(torch.stack((total, asked))).tolist()
        if math.isfinite(mean):
            return bool(asked > 0)
        guilty = [clip.clip_id for clip, key in zip(batch.clips, keys, strict=True) if not self._is_finite(clip, key)]
        names = sorted({name for part in self.processes.gathered(guilty) for name in part})
        bad = sorted(name for name, loss in losses.items() if not math.isfinite(loss.item()))
        what = f"the loss is not a number ({', '.join(bad[:4]) or 'elsewhere'})"
        raise self._no_number(what, names or [clip.clip_id for clip in batch.clips])

    def _no_number(self, what: str, clips: list[str]) -> DataError:
        """The error of an iteration that would spoil the weights; those before it are saved on the way out."""
        return DataError(
            f"iteration {self.state.iteration + 1}: {what}, at clip {' or '.join(clips)}; "
            f"the weights before it are kept in {self.folder.checkpoint(self.state.iteration)}",
            hint="--resume with a lower rate (--set optimiser.rate=...), fp32, or without that clip",
        )

    @torch.no_grad()
    def _is_finite(self, clip: Sample, key: int) -> bool:
        with dropping_for([key]):
            losses = self.model(TrainingBatch(clips=(clip,)))
        return all(math.isfinite(loss.item()) for loss in losses.values())

    def _clipped_norm(self) -> Tensor:
        limit = self.config.optimiser.clip_norm
        return nn.utils.clip_grad_norm_(self.model.parameters(), math.inf if limit is None else limit)

    def _after(self, log: TrainingLog, stopped: bool) -> None:
        """What is due after an iteration."""
        iteration, config = self.state.iteration, self.config
        last = iteration == config.loop.iterations
        if self.val is not None and _is_due(iteration, config.validation.every, last=last):
            log.add_validation(iteration, self._validate(self.val))
        if self.val is not None and _is_due(iteration, config.validation.draw_every, last=last):
            if self.processes.is_first:
                self.val.draw(self.model, config, self.device, self.folder.samples, iteration)
            self.processes.wait()
        if stopped or _is_due(iteration, config.loop.checkpoint_every, last=last):
            self._save()

    def _validate(self, val: Split) -> Figures:
        figures = val.validate(self.model, self.config, self.processes, self.device)
        score = headline_score(self.config.validation.metric, figures["strict"])
        if self.state.best_score is None or score > self.state.best_score:
            best = {"best_score": score, "best_iteration": self.state.iteration}
            self.state = self.state.model_copy(update=best)
            if self.processes.is_first:
                self.folder.save_best(self.model, self.metadata)
        return figures

    def _save(self) -> None:
        self._keep()
        self.processes.wait()

    def _keep(self) -> None:
        """Write a checkpoint, unless there is one of this iteration, or the weights are half changed.

        It waits for no other process: one that met an error is alone with it.
        """
        if self.processes.is_first and not self._changing and self._saved_at != self.state.iteration:
            self.folder.save(self.model, self.optimiser, self.state, self.metadata)
            self._saved_at = self.state.iteration


class StopRequest:
    """A context in which the first Ctrl-C or SIGTERM sets `asked`; the second one acts as it always does."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, _Handler] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            self._before = {number: signal.signal(number, self._ask) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


def out_of_memory(error: BaseException, config: RunConfig) -> ToolError:
    """The error that says what to lower in training."""
    return ToolError(f"out of memory ({str(error).splitlines()[0]})", hint=task_of(config).training_hint(config))


def _check_division(config: RunConfig, model: nn.Module, processes: Processes, *, used: int) -> None:
    if used != processes.world_size:
        raise ConfigError(
            f"data.batch={config.data.batch} cannot be divided among {processes.world_size} processes",
            hint=f"torchrun --nproc-per-node {used}, or --set loop.processes=scale",
        )
    learning = any(isinstance(part, SharedBatchNorm) for part in model.modules())
    if processes.world_size > 1 and learning and not MODELS[config.model_name].runs_together:
        raise ConfigError(
            f"{config.model_name} runs clips of other sizes apart, so several processes cannot share batch norms",
            hint="--set model.backbone.frozen_norms=true",
        )


def _prepare(model: nn.Module, config: RunConfig) -> None:
    """What of a config makes the same numbers in less time."""
    set_products(config.loop.precision)
    backbone = getattr(model, "backbone", None)
    if config.loop.channels_last and isinstance(backbone, Backbone):
        backbone.lay_channels_last()
    if config.loop.compile:
        for part in (backbone, getattr(model, "pixel_decoder", None)):
            if isinstance(part, nn.Module):
                part.compile()


def _is_due(iteration: int, every: int, *, last: bool) -> bool:
    return every > 0 and (last or iteration % every == 0)


def _unsynchronised(model: nn.Module, wanted: bool) -> AbstractContextManager[None]:
    """A context in which gradients stay in their process, where several share the model."""
    return model.no_sync() if wanted and isinstance(model, DistributedDataParallel) else nullcontext()
