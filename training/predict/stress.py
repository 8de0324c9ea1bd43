"""A model under all conditions of a stress test: the media of each are made, predicted and thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from avis_data.errors import BusyError, ConfigError, DataError
from avis_data.io import TEMPORARY_PREFIX, canonical_json, read_json, remove, sha256_file, sha256_text, write_json
from avis_data.stress.conditions import MADE_WITH, TRUE_SOUND
from avis_data.stress.making import check_vggish, embedding_of, make_dataset, opened_for
from avis_data.stress.plan import Given, PlannedCondition, StressPlan
from avis_data.training.checkpoints.trained import load_trained, weights_file
from avis_data.training.config import config_values
from avis_data.training.data.audio_windows import write_windows
from avis_data.training.data.loading import DataConfig
from avis_data.training.predict.predict import PredictRequest, predict
from avis_data.weights import resolve_vggish

__all__ = ["StressedModel", "predict_stressed"]


@dataclass(frozen=True, kw_only=True)
class StressedModel:
    """What is predicted, with what."""

    request: PredictRequest
    """The model; `vggish` is the file of VGGish's weights, where the model hears embeddings."""
    untrained: bool = False
    """Embeddings of random weights, as those of an export that says so."""


def predict_stressed(
    model: StressedModel,
    plan: StressPlan,
    given: Given,
    out: Path,
    *,
    conditions: Sequence[PlannedCondition],
    on_condition: Callable[[str, bool], None] = lambda name, made: None,
) -> list[str]:
    """Write `true.json` and `<condition>.json` for each condition; those that are there are not made again.

    Args:
        model: which one.
        plan: which clip hears what.
        given: the clips.
        out: the folder of the results.
        conditions: of the plan.
        on_condition: called after each with its name, and whether it was made now.

    Returns:
        The conditions that have results.

    Raises:
        ConfigError: if the folder holds results of another model or plan, or weights are given that nothing needs.
        BusyError: if another run writes into the folder.
        DataError: if the clips are not those of the plan, or the model cannot be read or gives no tracks.
        ToolError: if VGGish's weights or the device are missing, or memory runs out.
    """
    heard = _heard(model, given)
    with _claimed(out, model, heard, plan):
        world = opened_for(plan, given)
        embed = embedding_of(heard.vggish) if heard.kind == "vggish" and heard.vggish else None
        wanted: list[PlannedCondition | None] = [None, *(condition for condition in conditions if condition.clips)]
        made = []
        for condition in wanted:
            name = TRUE_SOUND if condition is None else condition.name
            target = out / f"{name}.json"
            if is_new := not target.is_file():
                with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=out) as scratch:
                    data = given.data
                    if condition is not None:
                        data = Path(scratch) / name
                        make_dataset(data, condition, plan, world, embed=embed)
                        if heard.kind == "vggish-window" and heard.vggish:
                            write_windows(data, heard.vggish)
                    predict(replace(model.request, data=data, split=plan.split, vggish=None), target)
            made.append(name)
            on_condition(name, is_new)
        return made


@dataclass(frozen=True, kw_only=True)
class _Heard:
    """What a model hears."""

    config_sha256: str
    """Of the whole config that it is predicted with."""
    kind: str | None
    """Of audio; None: it hears nothing."""
    vggish: tuple[Path | None, str] | None
    """VGGish's weights, of `resolve_vggish`, where it hears by them."""


def _heard(model: StressedModel, given: Given) -> _Heard:
    request = model.request
    _, config = load_trained(request.weights, request.config_name, request.settings, model_name=request.model_name)
    if not isinstance(config.data, DataConfig):
        raise DataError(
            f"{config.model_name} gives masks without identities; a stress test is for models of tracks",
            hint="any program's results: avis-data stress make, then stress score",
        )
    config_sha256 = sha256_text(canonical_json(config_values(config)))
    kind = config.data.audio if config.model.needs_audio else None
    if kind not in ("vggish", "vggish-window"):
        if request.vggish is not None or model.untrained:
            raise ConfigError(
                f"this model hears {kind or 'nothing'}: it needs no VGGish, leave --weights and --untrained out"
            )
        return _Heard(config_sha256=config_sha256, kind=kind, vggish=None)
    weights = resolve_vggish(request.vggish, untrained=model.untrained)
    check_vggish(given.data, weights[1])
    return _Heard(config_sha256=config_sha256, kind=kind, vggish=weights)


@contextmanager
def _claimed(out: Path, model: StressedModel, heard: _Heard, plan: StressPlan) -> Iterator[None]:
    """The folder, for this model, plan and process alone, without what a killed run left."""
    request = model.request
    note = {
        "plan_sha256": plan.sha256,
        "weights_sha256": sha256_file(weights_file(request.weights)),
        "config_sha256": heard.config_sha256,
        "precision": request.precision,
        "vggish_sha256": heard.vggish[1] if heard.vggish else None,
    }
    if (out / MADE_WITH).is_file() and read_json(out / MADE_WITH) != note:
        raise ConfigError(f"{out}: holds results of another model, config, VGGish or plan", hint="--out ANOTHER_FOLDER")
    if not (out / MADE_WITH).is_file() and out.exists() and any(path.name != ".lock" for path in out.iterdir()):
        raise ConfigError(f"{out}: is not empty, and holds no results of a stress test", hint="--out ANOTHER_FOLDER")
    out.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / ".lock", timeout=0):
            for left_over in out.glob(f"{TEMPORARY_PREFIX}*"):
                remove(left_over)
            write_json(out / MADE_WITH, note)
            yield
    except Timeout:
        raise BusyError(f"{out}: another `avis-data stress run` is writing here") from None
