"""Parity cases: tensors that official modules gave, and how ours are compared with them."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Cases that one runner takes, told by the tensors in them. What a case is called, and of what paper, is free."""

    run: Callable[[Case], None]
    inputs: tuple[str, ...]
    """Every one of them goes in."""
    weights: str | None
    """How the local name of some official weight begins; None: the case has no weights."""
    but: str | None = None
    """How no weight begins."""

    def takes(self, case: Case) -> bool:
        """Whether a case is of this kind."""
        if not set(self.inputs) <= set(case.inputs):
            return False
        if self.weights is None or not case.has_weights:
            return (self.weights is None) != case.has_weights
        return case.has_weight(self.weights) and not (self.but and case.has_weight(self.but))


@dataclass
class Case:
    """One folder of a case."""

    folder: Path
    worst: float = 0.0
    """The largest |ours - stored| / (1 + |stored|) so far."""
    compared: int = 0
    _seen: set[str] = field(default_factory=set)

    @cached_property
    def about(self) -> dict[str, Any]:
        return json.loads((self.folder / "case.json").read_text())

    @property
    def settings(self) -> dict[str, Any]:
        return self.about["settings"]

    @property
    def in_training(self) -> bool:
        return str(self.about["mode"]).startswith("train")

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        return _upcast(self.folder / "inputs.safetensors")

    @cached_property
    def outputs(self) -> dict[str, Tensor]:
        return _upcast(self.folder / "outputs.safetensors")

    @property
    def has_weights(self) -> bool:
        return (self.folder / "weights.safetensors").is_file()

    def has_weight(self, pattern: str) -> bool:
        """Whether the local name of some weight begins like that (a regular expression)."""
        return any(re.match(pattern, name) for name in self.local_weights)

    def numbered(self, name: str) -> int:
        """How many inputs are called NAME.0, NAME.1 and so on."""
        return next(number for number in itertools.count() if f"{name}.{number}" not in self.inputs)

    @cached_property
    def local_weights(self) -> dict[str, Tensor]:
        """The official state dict under the names that are local to the module."""
        return _upcast(self.folder / "weights.safetensors")

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """The official state dict, with the prefix of a full checkpoint."""
        prefix = (self.about["weights"]["prefix_in_a_full_checkpoint"] or "").split(" ")[0]
        return {prefix + name: tensor for name, tensor in self.local_weights.items()}

    def check(self, name: str, ours: Tensor) -> None:
        """Compare one output with what is stored: floats within the case's tolerance, integers exactly."""
        stored = self.outputs[name]
        self._seen.add(name)
        self.compared += 1
        assert ours.shape == stored.shape, f"{name}: shape {tuple(ours.shape)}, stored {tuple(stored.shape)}"
        ours = ours.detach()
        if not stored.is_floating_point():
            assert torch.equal(ours.to(stored.dtype), stored), f"{name}: integers differ"
            return
        if not stored.numel():
            return
        difference = (ours - stored).abs()
        self.worst = max(self.worst, float((difference / (1 + stored.abs())).max()))
        limits = self.about["compare"]
        allowed = limits["atol"] + limits["rtol"] * stored.abs()
        assert (difference <= allowed).all(), f"{name}: largest difference {float(difference.max()):.2e}"

    def check_if_stored(self, name: str, ours: Tensor) -> None:
        """As `check`, for a value that not every case of a kind holds."""
        if name in self.outputs:
            self.check(name, ours)

    def check_masks(self, name: str, ours: Tensor, *, may_differ: float) -> None:
        """Compare 0/1 masks of which that many pixels may differ (their logit is next to zero)."""
        stored = self.outputs[name]
        self._seen.add(name)
        self.compared += 1
        assert ours.shape == stored.shape
        assert int((ours.to(stored.dtype) != stored).sum()) <= may_differ, f"{name}: too many pixels differ"

    def all_were_compared(self, *but: str) -> None:
        """Every stored output was looked at, but for those that start with one of the given words."""
        left = [name for name in self.outputs if name not in self._seen and not name.startswith(but)]
        assert not left, f"never compared: {left}"


def recorded(modules: dict[str, nn.Module]) -> dict[str, Any]:
    """A dictionary that gets each module's output, and under `NAME.args` its arguments, when it runs."""
    seen: dict[str, Any] = {}

    def hook(name: str) -> Callable[..., None]:
        def record(_module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            seen[name], seen[f"{name}.args"] = output, args

        return record

    for name, module in modules.items():
        module.register_forward_hook(hook(name))
    return seen


def _upcast(path: Path) -> dict[str, Tensor]:
    tensors = load_file(path)
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
