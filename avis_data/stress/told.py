"""Scores of a stress test as JSON, and as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from avis_data.metrics.comparison import Difference
from avis_data.metrics.counting import Figure
from avis_data.metrics.table import FIGURES
from avis_data.metrics.text_tables import text_table
from avis_data.stress.plan import StressPlan
from avis_data.stress.scoring import RELIANCE, ConditionScore, Measured, ModelScore, ranked

__all__ = ["scores_json", "scores_text"]


def scores_json(models: Sequence[ModelScore], plan: StressPlan) -> dict[str, object]:
    """One object: what each model loses, by condition; fractions, masks per frame as numbers."""
    return {
        "plan_sha256": plan.sha256,
        "ranking": [model.name for model in ranked(models)],
        "models": {
            model.name: {
                "reliance": _measured(model.reliance),
                "conditions": {score.condition.name: _condition(score) for score in model.conditions},
                "missing": list(model.missing),
                "notes": list(model.notes),
            }
            for model in models
        },
    }


def scores_text(models: Sequence[ModelScore]) -> str:
    """A table for each model, and the models by reliance where there are several."""
    blocks = [_table(model) for model in models]
    if len(models) > 1:
        rows = [
            [f"{place}. {model.name}", _percent(model.reliance, sign=True)]
            for place, model in enumerate(ranked(models), start=1)
        ]
        blocks.append(text_table(["rank", f"reliance, {RELIANCE}"], rows))
    return "\n\n".join(blocks)


def _table(model: ModelScore) -> str:
    names = list(model.conditions[0].reliance)
    titles = [f"{FIGURES[name].called} lost" for name in names]
    header = ["condition", "clips", *titles, "FSLAn", "wrong masks / frame"]
    rows = [
        [
            score.condition.name + ("" if score.condition.counts else " *"),
            str(len(score.condition.clips)),
            *(_lost(score.reliance[name], FIGURES[name]) for name in names),
            _percent(score.silent_right),
            _number(score.wrong_masks),
        ]
        for score in model.conditions
    ]
    lines = [
        f"{model.name}: audio reliance {_percent(model.reliance, sign=True)} points of strict {RELIANCE}",
        text_table(header, rows),
        "lost: true sound minus changed sound, in points. *: no part of the reliance, as what is true may be heard.",
        "FSLAn, wrong masks: of the frames in which nothing that is seen sounds under the changed sound.",
        *model.notes,
    ]
    return "\n".join(lines)


def _condition(score: ConditionScore) -> Mapping[str, object]:
    return {
        "says": score.condition.says,
        "counts": score.condition.counts,
        "clips": len(score.condition.clips),
        "left_out": len(score.condition.left_out),
        "no_sound_frames": score.num_no_sound_frames,
        "masks_per_no_sound_frame": _measured(score.wrong_masks),
        "FSLAn": _measured(score.silent_right),
        "reliance": {name: None if item is None else _difference(item) for name, item in score.reliance.items()},
    }


def _difference(item: Difference) -> Mapping[str, object]:
    return {
        "true": item.b,
        "changed": item.a,
        "reliance": item.difference,
        "interval": [item.low, item.high],
        "p_value": item.p_value,
        "level": item.level,
    }


def _measured(item: Measured | None) -> Mapping[str, object] | None:
    if item is None:
        return None
    return {"value": item.value, "interval": [item.interval.low, item.interval.high] if item.interval else None}


def _lost(item: Difference | None, figure: Figure[Any]) -> str:
    """What is lost, as a person reads it; of a figure that is better the lower it is, how much it rises."""
    if item is None:
        return "-"
    values = (item.difference, item.low, item.high)
    if not figure.higher_is_better:
        values = (-item.difference, -item.high, -item.low)
    lost, low, high = (figure.text(value + 0.0, digits=1, sign=True) for value in values)
    return f"{lost} [{low}, {high}]"


def _percent(item: Measured | None, *, sign: bool = False) -> str:
    if item is None:
        return "-"
    form = "+.1f" if sign else ".1f"
    ends = f" [{100 * item.interval.low:{form}}, {100 * item.interval.high:{form}}]" if item.interval else ""
    return f"{100 * item.value:{form}}{ends}"


def _number(item: Measured | None) -> str:
    if item is None:
        return "-"
    return f"{item.value:.2f}" + (f" [{item.interval.low:.2f}, {item.interval.high:.2f}]" if item.interval else "")
