"""What makes the parts of a batch that several processes have one batch: the results are those of one process.

Sums and sizes are those of all processes; batch norms see the frames of all; what is dropped in training is a function
of the sample, so it does not matter which process has it. In one process nothing here changes anything.

Shapes: N frames, C channels, h, w cells of a map, W processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from avis_data.training.models.points import at_least_float32

__all__ = [
    "DropPath",
    "Dropout",
    "SharedBatchNorm",
    "dropping_for",
    "keys_of",
    "largest",
    "lowest",
    "number_dropouts",
    "part_of_mean",
    "recomputed",
    "summed",
    "world_size",
]

_Result = TypeVar("_Result")
_KEYS: ContextVar[tuple[int, ...] | None] = ContextVar("keys of the clips of a pass", default=None)


def world_size() -> int:
    """W, how many processes share a batch."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def summed(values: Tensor) -> Tensor:
    """The sum of a tensor over the processes; it has no gradient where there are several."""
    if world_size() == 1:
        return values
    total = values.detach().clone()
    distributed.all_reduce(total)
    return total


def part_of_mean(mean: Tensor, count: Tensor) -> Tensor:
    """A mean over `count` things of this process as its part of the mean over those of all: the parts' mean is that."""
    if world_size() == 1:
        return mean
    count = count.to(torch.float32)
    return mean * (count * world_size() / summed(count))


def largest(sizes: Sequence[int], device: torch.device) -> tuple[int, ...]:
    """The largest of each number over the processes."""
    if world_size() == 1:
        return tuple(sizes)
    found = torch.tensor(sizes, device=device)
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return tuple(found.tolist())


def lowest(values_X: Tensor, count: int) -> Tensor:
    """The lowest values of all processes, ascending: at most `count`, or fewer where there are not so many."""
    if world_size() == 1:
        return values_X.sort().values[:count]
    mine = values_X.new_full((count,), torch.inf)
    own = values_X.sort().values[:count]
    mine[: len(own)] = own
    parts = [torch.empty_like(mine) for _ in range(world_size())]
    distributed.all_gather(parts, mine)
    found = torch.cat(parts).sort().values[:count]
    return found[found.isfinite()]


class SharedBatchNorm(nn.BatchNorm2d):
    """A batch norm whose statistics in training are those of the frames of all processes. Some may have no frame."""

    def forward(self, input: Tensor) -> Tensor:
        """The normalised maps, same shape."""
        if not self.training or world_size() == 1:
            return super().forward(input)
        mean_C, variance_C, count = _moments(input)
        self._remember(mean_C, variance_C, count)
        result = _normalised(input, mean_C, variance_C, count, self.eps)
        if self.weight is not None:
            result = torch.addcmul(self.bias[:, None, None], result, self.weight[:, None, None])
        return result.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean_C: Tensor, variance_C: Tensor, count: Tensor) -> None:
        assert self.momentum is not None and self.running_mean is not None and self.running_var is not None  # as built
        self.running_mean.lerp_(mean_C, self.momentum)
        self.running_var.lerp_(variance_C * (count / (count - 1).clamp(min=1)), self.momentum)
        assert self.num_batches_tracked is not None  # likewise
        self.num_batches_tracked.add_(1)


@torch.no_grad()
def _moments(x_NChw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of each channel over all processes, and over how many values."""
    x_NChw = at_least_float32(x_NChw)
    cells = x_NChw.new_tensor([float(x_NChw.numel() // x_NChw.shape[1])])
    total = summed(torch.cat((x_NChw.sum((0, 2, 3)), cells)))
    count = total[-1]
    mean_C = total[:-1] / count
    return mean_C, summed((x_NChw - mean_C[:, None, None]).square().sum((0, 2, 3))) / count, count


class _Kept(Protocol):
    """What PyTorch keeps between forward and backward."""

    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps), where both are of the x of all processes, and the gradients know it."""

    @staticmethod
    def forward(kept: _Kept, x_NChw: Tensor, mean_C: Tensor, variance_C: Tensor, count: Tensor, eps: float) -> Tensor:
        scale_C = torch.rsqrt(variance_C + eps)
        y_NChw = (at_least_float32(x_NChw) - mean_C[:, None, None]) * scale_C[:, None, None]
        kept.save_for_backward(y_NChw, scale_C, count, x_NChw.new_empty(0))
        return y_NChw

    @staticmethod
    def backward(kept: _Kept, grad_NChw: Tensor) -> tuple[Tensor | None, ...]:
        y_NChw, scale_C, count, like = kept.saved_tensors
        sums = torch.stack((grad_NChw.sum((0, 2, 3)), (grad_NChw * y_NChw).sum((0, 2, 3))))
        mean_C, along_C = summed(sums) / count
        grad = grad_NChw - mean_C[:, None, None] - y_NChw * along_C[:, None, None]
        return (grad * scale_C[:, None, None]).to(like.dtype), None, None, None, None


_normalised: Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor] = _Normalise.apply


@contextmanager
def dropping_for(keys: Sequence[int] | None) -> Iterator[None]:
    """A context in which dropouts draw by the keys of the clips that go through, each clip by its own.

    Args:
        keys: of the clips, in the order in which they lie in the first axis of every tensor that is dropped from;
            None: as PyTorch draws.
    """
    before = _KEYS.set(None if keys is None else tuple(keys))
    try:
        yield
    finally:
        _KEYS.reset(before)


def keys_of(clips: Sequence[int]) -> tuple[int, ...] | None:
    """The keys of some clips of a pass, for a model that runs them apart; None where nothing is drawn by keys."""
    keys = _KEYS.get()
    return None if keys is None else tuple(keys[clip] for clip in clips)


def recomputed(work: Callable[[Tensor], _Result], x: Tensor) -> _Result:
    """The result of `work`, nothing of which is kept for the gradients: it is computed again, dropping the same."""
    keys = _KEYS.get()
    result: _Result = checkpoint(work, x, use_reentrant=False, context_fn=lambda: (nullcontext(), dropping_for(keys)))
    return result


class Dropout(nn.Module):
    """Dropout of single values, drawn for each clip by its own key."""

    def __init__(self, share: float) -> None:
        """`share`: of the values that are dropped in training."""
        super().__init__()
        self.share = share
        self.place = 0
        """Which dropout of the model it is: each draws for itself."""

    def forward(self, x: Tensor) -> Tensor:
        """The values, some of them 0, the others larger; same shape."""
        keys = _KEYS.get()
        if not self.training or not self.share:
            return x
        if keys is None:
            return functional.dropout(x, self.share)
        return x * _kept_rows(x, keys, self.share, self.place)


class DropPath(nn.Module):
    """Stochastic depth: for each frame the whole of what a block adds, or nothing, drawn by the key of its clip."""

    def __init__(self, published: nn.Module, share: float) -> None:
        """`published`: draws where there are no keys; `share`: of the frames in which nothing is added."""
        super().__init__()
        self._published, self._share = published, share
        self.place = 0
        """Which dropout of the model it is: each draws for itself."""

    def forward(self, x: Tensor) -> Tensor:
        """What is added, same shape."""
        keys = _KEYS.get()
        if not self.training or not self._share:
            return x
        if keys is None:
            result: Tensor = self._published(x)
            return result
        return x * _kept_rows(x.new_empty(len(x), *[1] * (x.dim() - 1)), keys, self._share, self.place)


def number_dropouts(model: nn.Module) -> None:
    """Tell every dropout of a model its place."""
    for place, module in enumerate(part for part in model.modules() if isinstance(part, (Dropout, DropPath))):
        module.place = place


def _kept_rows(like: Tensor, keys: Sequence[int], share: float, place: int) -> Tensor:
    """Factors of the shape of a tensor: 0 where it is dropped, else 1 / (1 - share). Clips lie one after the other."""
    kept = torch.empty_like(like)
    for key, rows in zip(keys, kept.chunk(len(keys)), strict=True):
        seed = int(np.random.SeedSequence([key, place]).generate_state(1)[0])
        rows.bernoulli_(1 - share, generator=torch.Generator(like.device).manual_seed(seed))
    return kept / (1 - share) if share < 1 else kept
