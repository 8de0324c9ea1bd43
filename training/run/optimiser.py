"""The optimiser of a model, with the rates and decays that each parameter gets, and the rate's schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

__all__ = ["OptimiserConfig", "ScheduleConfig", "build_optimiser", "parameter_groups", "rate_factor", "set_rate"]

_Positive = Annotated[float, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0)]
_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
_TABLES = ("relative_position_bias_table",)


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """How weights are changed."""

    kind: Literal["adamw", "adam", "sgd"] = "adamw"
    """`sgd` has a momentum of 0.9."""
    rate: _Positive = 1e-4
    """Learning rate."""
    backbone_factor: _NotNegative = 0.1
    """On the rate of the backbone."""
    weight_decay: _NotNegative = 0.05
    """None for norm layers, embeddings and Swin's relative-position tables; biases are decayed."""
    clip_norm: _Positive | None = 0.01
    """Largest norm of all gradients together; null: not limited."""


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """How the rate changes."""

    kind: Literal["step", "poly", "constant"] = "step"
    """`step`: times `factor` at each milestone. `poly`: times (1 - iteration / iterations) ^ `power`."""
    milestones: tuple[Annotated[int, Field(ge=1)], ...] = (32_000,)
    """Iterations at which the rate drops (`step`)."""
    milestone_shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...] | None = None
    """The same as shares of all iterations, instead of `milestones`; for runs whose length depends on the data."""
    factor: _Positive = 0.1
    """Of each drop (`step`)."""
    power: _Positive = 0.9
    """Exponent (`poly`)."""
    warmup: Annotated[int, Field(ge=0)] = 0
    """Iterations over which the rate rises in a straight line."""
    warmup_start: Annotated[float, Field(ge=0, le=1)] = 0.001
    """Share of the rate that it rises from."""


def build_optimiser(model: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    """The optimiser over all parameters of a model that learn."""
    groups = parameter_groups(model, config)
    if config.kind == "sgd":
        return torch.optim.SGD(groups, lr=config.rate, momentum=0.9)
    if config.kind == "adam":
        return torch.optim.Adam(groups, lr=config.rate)
    return torch.optim.AdamW(groups, lr=config.rate)


def parameter_groups(model: nn.Module, config: OptimiserConfig) -> list[dict[str, Any]]:
    """Parameters by learning rate and weight decay; each group also says its rate at the start (`rate`) and names."""
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for module_name, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            full = f"{module_name}.{name}" if module_name else name
            rate = config.rate * (config.backbone_factor if full.startswith("backbone.") else 1.0)
            spared = isinstance(module, (*_NORMS, nn.Embedding)) or name in _TABLES
            decay = 0.0 if spared else config.weight_decay
            group = groups.setdefault(
                (rate, decay), {"params": [], "names": [], "lr": rate, "rate": rate, "weight_decay": decay}
            )
            group["params"].append(parameter)
            group["names"].append(full)
    return list(groups.values())


def rate_factor(schedule: ScheduleConfig, iteration: int, iterations: int) -> float:
    """What the rate is multiplied with at an iteration (from 0) of a run of so many.

    Source: warm-up and step schedule as in detectron2; poly as in DeepLab (2017).
    """
    factor = 1.0
    if schedule.kind == "step":
        milestones = schedule.milestones
        if schedule.milestone_shares is not None:
            milestones = tuple(round(share * iterations) for share in schedule.milestone_shares)
        factor = schedule.factor ** sum(iteration >= milestone for milestone in milestones)
    elif schedule.kind == "poly":
        factor = (1.0 - iteration / iterations) ** schedule.power
    if iteration < schedule.warmup:
        factor *= schedule.warmup_start + (1.0 - schedule.warmup_start) * iteration / schedule.warmup
    return factor


def set_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Give every group its rate at the start times the factor."""
    for group in optimiser.param_groups:
        group["lr"] = group["rate"] * factor
