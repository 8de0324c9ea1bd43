"""The optimiser of a model, with the rates and decays that each parameter gets, and the rate's schedule."""

from __future__ import annotations

import torch
from torch import nn

from avis_data.training.config import OptimiserConfig, ScheduleConfig

__all__ = ["build_optimiser", "parameter_groups", "rate_factor", "set_rate"]

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
_TABLES = ("relative_position_bias_table",)


def build_optimiser(model: nn.Module, config: OptimiserConfig) -> torch.optim.Optimizer:
    """The optimiser over all parameters of a model that learn. Fused: one kernel, and the host reads no step counts."""
    groups = parameter_groups(model, config)
    if config.kind == "sgd":
        return torch.optim.SGD(groups, lr=config.rate, momentum=0.9, fused=True)
    if config.kind == "adam":
        return torch.optim.Adam(groups, lr=config.rate, fused=True)
    return torch.optim.AdamW(groups, lr=config.rate, fused=True)


def parameter_groups(model: nn.Module, config: OptimiserConfig) -> list[dict[str, object]]:
    """Parameters by learning rate and weight decay; each group also says its rate at the start (`rate`) and names."""
    groups: dict[tuple[float, float], dict[str, nn.Parameter]] = {}
    for module_name, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            full = f"{module_name}.{name}" if module_name else name
            rate = config.rate * (config.backbone_factor if full.startswith("backbone.") else 1.0)
            spared = isinstance(module, (*_NORMS, nn.Embedding)) or name in _TABLES
            decay = 0.0 if spared else config.weight_decay
            groups.setdefault((rate, decay), {})[full] = parameter
    return [
        {"params": [*named.values()], "names": [*named], "lr": rate, "rate": rate, "weight_decay": decay}
        for (rate, decay), named in groups.items()
    ]


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
