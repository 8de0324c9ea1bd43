"""Which parameter gets which rate and decay, and how the rate changes."""

from __future__ import annotations

import pytest
import torch

from avis_data.training.config import OptimiserConfig, ScheduleConfig, load_config, shipped_configs
from avis_data.training.registry import MODELS, build_model
from avis_data.training.run.optimiser import (
    build_optimiser,
    parameter_groups,
    rate_factor,
    set_rate,
)
from support.tiny_training import tiny_config


def settings_of(*, swin: bool) -> dict[str, tuple[float, float]]:
    swin_spec = "model.backbone={embed_channels: 8, depths: [1, 1, 1, 1], heads: [1, 1, 2, 2], window: 4}"
    model = build_model(tiny_config(*([swin_spec] if swin else [])))
    groups = parameter_groups(model, OptimiserConfig(rate=1e-4, backbone_factor=0.1, weight_decay=0.05))
    found = {name: (group["lr"], group["weight_decay"]) for group in groups for name in group["names"]}
    assert found.keys() == {name for name, _ in model.named_parameters()}
    return found


def test_rates_and_decays_are_the_published_ones() -> None:
    """Specification of AVISM, section 5: no decay for norm layers, embeddings and Swin's tables; biases decay."""
    resnet, swin = settings_of(swin=False), settings_of(swin=True)
    assert resnet["frame_decoder.class_head.weight"] == (1e-4, 0.05)
    assert resnet["frame_decoder.class_head.bias"] == (1e-4, 0.05)
    assert resnet["frame_decoder.query_features.weight"] == (1e-4, 0.0)
    assert resnet["frame_decoder.norm.weight"] == (1e-4, 0.0)
    assert resnet["backbone.body.embedder.embedder.convolution.weight"] == (pytest.approx(1e-5), 0.05)
    tables = [value for name, value in swin.items() if name.endswith("relative_position_bias_table")]
    assert tables and all(value == (pytest.approx(1e-5), 0.0) for value in tables)


def test_the_rate_drops_at_its_milestones() -> None:
    schedule = ScheduleConfig(kind="step", milestones=(15_000, 21_000), factor=0.1, warmup=1000, warmup_start=0.001)
    found = [rate_factor(schedule, iteration, 23_000) for iteration in (0, 500, 1000, 14_999, 15_000, 22_000)]
    assert found == pytest.approx([0.001, 0.5005, 1.0, 1.0, 0.1, 0.01])


def test_the_poly_rate_has_the_values_of_the_specification() -> None:
    """Specification of RCF, check values: 6.000e-4, 3.215e-4, 7.554e-5 at 0, 30,000 and 54,000 of 60,000."""
    schedule = ScheduleConfig(kind="poly", power=0.9)
    found = [6e-4 * rate_factor(schedule, iteration, 60_000) for iteration in (0, 30_000, 54_000)]
    assert found == pytest.approx([6.000e-4, 3.215e-4, 7.554e-5], rel=1e-3)


def test_the_rate_of_an_iteration_reaches_every_group() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.LayerNorm(2))
    optimiser = build_optimiser(model, OptimiserConfig(rate=0.2))
    set_rate(optimiser, 0.1)
    set_rate(optimiser, 0.5)  # of the rate at the start, not of the last one
    assert [group["lr"] for group in optimiser.param_groups] == [0.1, 0.1]


@pytest.mark.parametrize("name", shipped_configs())
def test_shipped_configs_are_whole_and_say_how_they_are_run(name: str) -> None:
    config = load_config(name)
    assert config.model_name in MODELS and config.predict.score_threshold == 0.3


def test_the_published_recipe_is_the_default() -> None:
    config = load_config(MODELS["avism"].default_config)
    assert (config.loop.iterations, config.data.batch, config.data.frames, config.data.reach) == (48_000, 2, 5, 20)
    assert (config.optimiser.rate, config.optimiser.weight_decay, config.optimiser.clip_norm) == (1e-4, 0.05, 0.01)
    assert (config.schedule.milestones, config.schedule.factor, config.schedule.warmup) == ((32_000,), 0.1, 0)
    assert (config.loss.sim_weight, config.loss.late_onset_label) == (0.5, "true")
    assert config.data.augment.short == tuple(range(288, 513, 32)) and config.data.augment.long == 768
    assert load_config("avism_swinl").model.frame_queries == 200
