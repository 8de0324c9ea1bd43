"""The processes of one training run: one, or several that torchrun started, on one machine or on many."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar, cast

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from avis_data.errors import AvisError

__all__ = ["Processes", "joined_processes", "started_processes"]

_Result = TypeVar("_Result")
_PATIENCE = timedelta(hours=2)
"""How long a process waits for the others: one may still be predicting a long clip."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among the others."""

    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes files and shows progress."""
        return self.rank == 0

    def wrapped(self, model: nn.Module) -> nn.Module:
        """The model, its gradients averaged over the processes."""
        if self.world_size == 1:
            return model
        return DistributedDataParallel(model)

    def averaged(self, values: Tensor) -> Tensor:
        """The mean of a tensor over the processes."""
        if self.world_size == 1:
            return values
        total = values.clone()
        distributed.all_reduce(total)
        return total / self.world_size

    def gathered(self, value: _Result) -> list[_Result]:
        """The values of all processes, in order of their ranks, in every process."""
        if self.world_size == 1:
            return [value]
        found = [value] * self.world_size
        distributed.all_gather_object(found, value)
        return found

    def spread(self, count: int, work: Callable[[int], _Result]) -> list[_Result]:
        """The results of `work` for 0 ... count - 1, in order, in every process; each process does its share."""
        mine = {number: work(number) for number in range(self.rank, count, self.world_size)}
        found = {number: result for part in self.gathered(mine) for number, result in part.items()}
        return [found[number] for number in range(count)]

    def once(self, work: Callable[[], _Result]) -> _Result:
        """The result of `work`, which the first process does for all; in all of them it raises what it raises there."""
        if self.world_size == 1:
            return work()
        found: list[_Result | AvisError | None] = [None]
        if self.is_first:
            try:
                found = [work()]
            except AvisError as error:
                found = [error]
        distributed.broadcast_object_list(found, src=0)
        result = found[0]
        if isinstance(result, AvisError):
            raise result
        return cast("_Result", result)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world_size > 1:
            distributed.barrier()


def started_processes() -> Processes:
    """This process among those that torchrun started; alone, if it did not."""
    return Processes(rank=int(os.environ.get("RANK", "0")), world_size=int(os.environ.get("WORLD_SIZE", "1")))


@contextmanager
def joined_processes(device: torch.device, count: int) -> Iterator[Processes]:
    """Join the first so many of the processes that were started; NCCL between GPUs, Gloo between CPUs.

    This process is one of them.
    """
    if count == 1:
        yield Processes()
        return
    me = Processes(rank=started_processes().rank, world_size=count)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE, rank=me.rank, world_size=count)
    try:
        yield me
    finally:
        distributed.destroy_process_group()
