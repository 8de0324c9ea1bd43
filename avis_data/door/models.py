"""Models: train one, open a trained one, predict with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from avis_data.door.clip_sets import ClipSet
from avis_data.door.results import truth_file
from avis_data.errors import ConfigError, DataError
from avis_data.extras import need_extra

if TYPE_CHECKING:
    from torch import nn

    from avis_data.training.config import RunConfig

__all__ = ["Model", "Run", "load_model", "train"]

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training run. Shown as the curves of its losses and figures in a notebook."""

    folder: Path
    """Its checkpoints, log and config; `load_model` opens it."""
    iteration: int
    """Changes of the weights so far."""
    finished: bool
    """False if it was interrupted: `train(..., resume=True)` goes on."""
    best_score: float | None
    """The best figure on the validation split, a fraction; None where none was measured."""

    def log(self) -> list[dict[str, object]]:
        """The lines of its log, oldest first: `iteration` with `loss`, `losses`, or `validation`."""
        from avis_data.report.run_log import read_run_log

        return [line.model_dump(exclude_unset=True) for line in read_run_log(self.folder)]

    @property
    def losses(self) -> dict[int, float]:
        """Iteration to loss, for those that were logged."""
        return {
            iteration: loss
            for line in self.log()
            if isinstance(iteration := line["iteration"], int) and isinstance(loss := line.get("loss"), float)
        }

    def _repr_html_(self) -> str:
        from avis_data.report.model import ModelFiles, model_section

        return model_section(ModelFiles(run=self.folder))


def train(
    data: ClipSet | str | Path,
    out: str | Path,
    *,
    config: str | Path | None = None,
    model: str | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    init: str | Path | None = None,
    allow_partial: bool = False,
    device: str = "auto",
    precision: Precision | None = None,
) -> Run:
    """Train a model on a dataset, as `avis-data train-baseline` does.

    Args:
        data: a whole dataset with the splits that the config asks for, in the layout of its model; or its path.
        out: the folder of the run.
        config: a config that ships, as `avism_tiny`, or a YAML file; None: the published recipe of the model.
        model: its name, as `avism`; None: what the config says.
        settings: changes of the config, as `"loop.iterations=20"`.
        resume: go on from the last checkpoint in `out`.
        init: weights to start from: a file, a name of `weights list`, or `auto`, the recipe's; None: random ones.
        allow_partial: start also from weights that fill little of the model.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        precision: None: what the config says.

    Raises:
        ToolError: if the packages of the extra `train`, or the device, are missing.
        ConfigError: if there is no such config or model, or the arguments contradict each other.
        ProblemsError: with every bad setting, or everything that is missing in the dataset.
        DataError: if the dataset or the weights are not in order.
        BusyError: if another training writes in that folder.

    Example:
        >>> few = ["loop.iterations=2", "data.batch=2", "data.workers=0", "validation.every=0", "loop.log_every=1"]
        >>> run = avis.train("example/exports/ytvis", "runs/tiny", config="avism_tiny", settings=few, device="cpu")
        >>> run.iteration, run.finished, sorted(run.losses)
        (2, True, [1, 2])
    """
    need_extra("train", what="training")
    from avis_data.training.run.train import resolved_config, train_baseline

    folder = Path(out)
    chosen = resolved_config(
        model=model,
        name=None if config is None else str(config),
        settings=settings,
        precision=precision,
        resumed=folder if resume else None,
    )
    result = train_baseline(
        _root(data),
        chosen,
        folder,
        resume=resume,
        init=None if init is None else Path(init),
        allow_partial=allow_partial,
        device_name=device,
    )
    return Run(folder=folder, iteration=result.iteration, finished=result.finished, best_score=result.best_score)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A trained model."""

    path: Path
    """Its weights."""
    config: RunConfig = field(repr=False)
    """All that it was trained with."""
    categories: Mapping[int, str] = field(repr=False)
    """Its classes: id to name."""
    module: nn.Module = field(repr=False)
    """The network, in evaluation mode on the CPU."""

    def predict(
        self,
        clips: ClipSet,
        out: str | Path = "results.json",
        *,
        device: str = "auto",
        precision: Precision | None = None,
    ) -> ClipSet:
        """Predict the tracks of a split, and write them as a result file, as `avis-data predict` does.

        Args:
            clips: of one split of a dataset. The file gets the predictions of all of the split.
            out: the result file, for `avis.evaluate`.
            device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
            precision: None: what the config says.

        Returns:
            The same clips with the predicted tracks in place of the true ones.

        Raises:
            ConfigError: if the clips are of several splits.
            DataError: if the dataset is not in order.
            ToolError: if the device is missing, or memory runs out.

        Example:
            >>> clips = avis.open("example/exports/ytvis").split("test")
            >>> predicted = avis.load_model("example/runs/tiny").predict(clips, "predicted.json", device="cpu")
            >>> len(predicted), Path("predicted.json").is_file()
            (2, True)
        """
        from avis_data.training.predict.predict import PredictRequest, predict

        file = truth_file(clips)
        request = PredictRequest(
            weights=self.path, data=file.parent, split=file.stem, device_name=device, precision=precision
        )
        predict(request, Path(out))
        return clips.with_predictions(out)


def load_model(weights: str | Path) -> Model:
    """Open a trained model.

    Args:
        weights: the folder of a run (its best weights, else the last), or a weight file of ours.

    Raises:
        ToolError: if the packages of the extra `train` are missing.
        DataError: if there is nothing of that name, or no weights in it.
        ConfigError: if the file does not say what model it is of.

    Example:
        >>> model = avis.load_model("example/runs/tiny")
        >>> model.config.model_name, model.categories[1]
        ('avism', 'person')
    """
    need_extra("train", what="a model")
    from avis_data.training.checkpoints.trained import categories_of_weights, load_trained, weights_file

    path = weights_file(Path(weights))
    module, config = load_trained(path, None)
    return Model(path=path, config=config, categories=categories_of_weights(path) or {}, module=module)


def _root(data: ClipSet | str | Path) -> Path:
    """The folder of a whole dataset: a part of one cannot be trained on."""
    if not isinstance(data, ClipSet):
        path = Path(data)
        if not path.exists():
            raise DataError(f"{path}: no such file or folder")
        return path
    if data.kind == "workspace":
        raise ConfigError(
            f"{data.root}: is a workspace; models are trained on an export", hint=f"avis.export({str(data.root)!r})"
        )
    if data.is_part:
        raise ConfigError(
            f"{data.root}: a model is trained on a whole dataset, this is a part of one",
            hint=f"avis.train({str(data.root)!r}, ...), or avis.TorchClips for a loop of your own",
        )
    return data.root
