"""The configuration of a training run: dataclasses say what there is, YAML files hold values, `--set` changes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from avis_data.config import apply_settings, validated, yaml_mapping
from avis_data.errors import ConfigError, Problem, ProblemsError
from avis_data.training.data.loading import DataConfig, DataOptions
from avis_data.training.models.spec import ModelConfig, PredictOptions
from avis_data.training.ranges import Count, CountOrZero, NotNegative, Positive, Share
from avis_data.training.registry import MODELS
from avis_data.training.task import TASKS, task_of

__all__ = [
    "LoopConfig",
    "OptimiserConfig",
    "ProcessesRecord",
    "RunConfig",
    "ScaledFrom",
    "ScheduleConfig",
    "ValidationConfig",
    "changed_config",
    "config_from_values",
    "config_values",
    "load_config",
    "shipped_configs",
]

_KIND = re.compile(r"(.+)\.([A-Z]\w*Spec)\.(.+)")
"""A field of one kind of a value that may be of several, as pydantic calls it."""


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """How weights are changed."""

    kind: Literal["adamw", "adam", "sgd"] = "adamw"
    """`sgd` has a momentum of 0.9."""
    rate: Positive = 1e-4
    """Learning rate."""
    backbone_factor: NotNegative = 0.1
    """Factor on the rate of the backbone."""
    weight_decay: NotNegative = 0.05
    """None for norm layers, embeddings and Swin's relative-position tables; biases are decayed."""
    clip_norm: Positive | None = 0.01
    """Largest norm of all gradients together; null: not limited."""


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """How the rate changes."""

    kind: Literal["step", "poly", "constant"] = "step"
    """`step`: times `factor` at each milestone. `poly`: times (1 - iteration / iterations) ^ `power`."""
    milestones: tuple[Count, ...] = (32_000,)
    """Iterations at which the rate drops (`step`)."""
    milestone_shares: tuple[Annotated[float, Field(gt=0, lt=1)], ...] | None = None
    """The same as shares of all iterations, instead of `milestones`; for runs whose length depends on the data."""
    factor: Positive = 0.1
    """Factor of each drop (`step`)."""
    power: Positive = 0.9
    """Exponent (`poly`)."""
    warmup: CountOrZero = 0
    """Iterations over which the rate rises in a straight line."""
    warmup_start: Share = 0.001
    """Share of the rate that it rises from."""


@dataclass(frozen=True, kw_only=True)
class ScaledFrom:
    """What the recipe of a scaled run was."""

    batch: Count
    rate: Positive
    warmup: CountOrZero
    iterations: Count


@dataclass(frozen=True, kw_only=True)
class ProcessesRecord:
    """How a run divided its batch; written by the run, no setting."""

    processes: Count
    """That took part."""
    passes: Count
    """Of each of them in an iteration."""
    clips: Count
    """Clips of one pass of one process."""
    scaled_from: ScaledFrom | None = None
    """What the recipe was before it was scaled; null: the recipe was kept."""


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long the loop runs, and how."""

    iterations: Count = 48_000
    """Changes of the weights."""
    rounds: Positive | None = None
    """If given, it counts and not `iterations`: so many times over all training samples. A run's own config then says
    how many iterations that were."""
    accumulate: Count = 1
    """Passes whose gradients are averaged for one change: `data.batch` is divided among them, to need less memory.
    That is of one process; several make fewer passes, of at most as many clips."""
    processes: Literal["keep", "scale"] = "keep"
    """What more processes change. `keep`: nothing but the time; those for which the batch has no clip do nothing.
    `scale`: the batch grows until all have clips, with it the rate; warm-up and iterations are shortened."""
    divided: ProcessesRecord | None = None
    """Written by a run: how its batch was divided, and what of the recipe was scaled."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """`bf16`: forward and backward under autocast; weights stay float32. `tf32`: float32, of which a GPU multiplies
    the first 11 bits."""
    compile: bool = False
    """Whether `torch.compile` makes kernels of backbone and pixel decoder; the first iterations are slow then."""
    channels_last: bool = False
    """Whether the maps of a ResNet lie in a GPU's memory channels last: for bf16 and tf32."""
    seed: CountOrZero = 0
    """Seed of weights, samples and points."""
    log_every: Count = 20
    """Iterations between lines of the log."""
    checkpoint_every: Count = 1000
    """Iterations between checkpoints; the last one is kept."""


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """How the model is measured while it learns."""

    every: CountOrZero = 4000
    """Iterations between validations, and one at the end; 0: never."""
    split: Literal["val", "test"] = "val"
    """The split that is measured; `test` repeats what some published runs did, and is said with the result."""
    metric: str = "mAP"
    """Strict figure by which the best weights are kept: a headline of `metrics.table`, of tracks or of masks."""
    clips: Count | None = None
    """Only so many clips, the first ones; null: all."""
    draw_every: CountOrZero = 4000
    """Iterations between drawings of predictions; 0: never."""
    draw_clips: Count = 2
    """Clips that are drawn, the first ones."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that a run depends on besides the data."""

    model_name: str
    """A name in `registry.MODELS`."""
    start_weights: str | None = None
    """What `--init auto` starts from, a name of `avis-data weights list`; null: from none of these."""
    model: ModelConfig
    """Architecture, of the type that the model's spec says."""
    loss: object
    """Objective, likewise."""
    data: DataOptions = field(default_factory=DataConfig)
    """What it sees, of the type that the model's task says: `DataConfig` for clips in the AVISeg layout."""
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    predict: PredictOptions = field(default_factory=PredictOptions)


_SECTIONS = {
    "optimiser": OptimiserConfig,
    "schedule": ScheduleConfig,
    "loop": LoopConfig,
    "validation": ValidationConfig,
    "predict": PredictOptions,
}


def shipped_configs() -> list[str]:
    """Names of the configs that ship with the tool."""
    folder = files("avis_data.training") / "configs"
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def load_config(name: str | Path, settings: Iterable[str] = (), *, model: str | None = None) -> RunConfig:
    """A shipped config by its name, or a YAML file, with settings on top.

    Args:
        name: `avism_r50`, or the path of a file.
        settings: `key.sub=value`.
        model: what the config must be for; None: any.

    Raises:
        ConfigError: if there is no such config or file, it is for another model, or its length is given twice.
        ProblemsError: with every unknown key and every bad value.
    """
    where, text = _text_of(str(name))
    settings = tuple(settings)
    values = apply_settings(yaml_mapping(text, where=where), settings)
    _check_length(values, {setting.partition("=")[0] for setting in settings}, where)
    config = config_from_values(values, where=where)
    if model is not None and config.model_name != model:
        raise ConfigError(f"{where}: is a config of {config.model_name}, not of {model}")
    return config


def config_from_values(values: Mapping[str, object], *, where: str) -> RunConfig:
    """The config of parsed YAML or JSON.

    Raises:
        ConfigError: if its model is not known, or parts of it contradict each other.
        ProblemsError: with every unknown key and every bad value; `where` is named.
    """
    given = values.get("model_name", "avism")
    name = given if isinstance(given, str) else repr(given)
    try:
        spec = MODELS[name]
    except ConfigError as error:
        raise ConfigError(f"{where}: model_name: {error.args[0]}", hint=error.hint) from None
    schema = _schema(spec.config, spec.loss, TASKS[spec.task].data)
    try:
        checked = validated(schema, {**values, "model_name": name}, where=where)
    except ProblemsError as error:
        problems = _of_the_likeliest(error.problems)
        raise ProblemsError(f"{where}: {len(problems)} bad value(s)", problems) from None
    config = RunConfig(**{key: getattr(checked, key) for key in type(checked).model_fields})
    _check_together(config, where)
    return config


def config_values(config: RunConfig) -> dict[str, object]:
    """Plain values of a config, complete: `config_from_values` gives the same again."""
    values: dict[str, object] = json.loads(json.dumps(asdict(config)))
    return values


def changed_config(config: RunConfig, settings: Sequence[str], *, where: str) -> RunConfig:
    """A config with `key.sub=value` on top. Raises ProblemsError for every bad key and value; `where` is named."""
    if not settings:
        return config
    return config_from_values(apply_settings(config_values(config), settings), where=where)


def _schema(model: type, loss: type, data: type) -> type[BaseModel]:
    """The pydantic model that checks the sections of a config; unknown keys are refused at every depth."""
    parts = {"model": model, "loss": loss, "data": data, **_SECTIONS}
    fields: dict[str, object] = {key: (kind, Field(default_factory=kind)) for key, kind in parts.items()}
    fields |= {"model_name": (str, ...), "start_weights": (str | None, None)}
    make: Callable[..., type[BaseModel]] = create_model  # its own type knows no fields that are counted at run time
    return make("RunValues", __config__=ConfigDict(extra="forbid"), **fields)


def _of_the_likeliest(problems: Sequence[Problem]) -> list[Problem]:
    """What is wrong with the kind that fits best, where a value may be one of several kinds (a ResNet or a Swin)."""
    by_kind: dict[str, dict[str, list[Problem]]] = {}
    kept = []
    for problem in problems:
        match = _KIND.fullmatch(problem.field)
        if match is None:
            kept.append(problem)
        else:
            found = Problem(problem.where, f"{match[1]}.{match[3]}", problem.message)
            by_kind.setdefault(match[1], {}).setdefault(match[2], []).append(found)
    return [*kept, *(problem for kinds in by_kind.values() for problem in min(kinds.values(), key=len))]


def _text_of(name: str) -> tuple[str, str]:
    if name in shipped_configs():
        return f"config {name}", (files("avis_data.training") / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
    path = Path(name)
    if not path.is_file():
        raise ConfigError(f"no config or file {name!r}; configs are: {', '.join(shipped_configs())}")
    try:
        return name, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None


def _check_length(values: Mapping[str, object], asked: Container[str], where: str) -> None:
    """Rounds count and not iterations, so nobody may ask for iterations in vain."""
    loop = values.get("loop")
    if not isinstance(loop, dict) or loop.get("rounds") is None or loop.get("iterations") is None:
        return
    if "loop.iterations" in asked or "loop.rounds" not in asked:
        raise ConfigError(
            f"{where}: loop.rounds is {loop['rounds']}, so loop.iterations={loop['iterations']} would not count",
            hint="--set loop.rounds=null",
        )


def _check_together(config: RunConfig, where: str) -> None:
    task = task_of(config)
    task.check(config, where)
    if config.validation.metric not in task.metrics:
        raise ConfigError(
            f"{where}: validation.metric is {config.validation.metric}, which {config.model_name} is not measured by",
            hint=f"--set validation.metric={task.metrics[0]}",
        )
    passes = config.loop.accumulate
    if config.data.batch % passes:
        raise ConfigError(
            f"{where}: data.batch ({config.data.batch}) must be a multiple of loop.accumulate ({passes})",
            hint=f"--set data.batch={passes}",
        )
