"""Every model of tracks learns one clip by heart: its masks, its classes, and when each object sounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avis_data.masks.rle import area
from avis_data.training.config import load_config
from avis_data.training.data.split import open_split
from avis_data.training.predict.predict import PredictRequest, predict
from avis_data.training.predict.results import read_results
from avis_data.training.run.train import train_baseline

SETTINGS = (
    "data.workers=0",
    "data.augment.flip_probability=0",
    "loop.log_every=10",
    "validation.every=1000",  # once, at the end
    "validation.draw_every=0",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "side", "batch", "iterations", "mask_loss"),
    [
        ("avism_tiny", 96, 1, 120, None),  # its mask losses are of a few points
        ("rcf_tiny", 96, 2, 120, "2.dice"),
        ("afcv_tiny", 128, 2, 240, "mask"),
        ("crossvis_tiny", 128, 2, 240, "mask"),
    ],
)
def test_one_clip_is_learnt_by_heart(
    one_clip: Path, tmp_path: Path, name: str, side: int, batch: int, iterations: int, mask_loss: str | None
) -> None:
    """At least 95 % of AP50, and of the dice coefficient at the size at which masks are learnt."""
    sizes = [f"data.batch={batch}", f"data.augment.short=[{side}]", "data.augment.long=192"]
    sizes += [f"data.test_short={side}", "data.test_long=192", f"loop.iterations={iterations}", "schedule.warmup=40"]
    config, run = load_config(name, [*SETTINGS, *sizes]), tmp_path / "run"
    train_baseline(one_clip, config, run, device_name="cpu")
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    if mask_loss is not None:
        last = [line["losses"][mask_loss] for line in lines if "losses" in line][-3:]
        assert max(last) < 0.05, last
    (figures,) = [line["validation"]["strict"] for line in lines if "validation" in line]
    assert figures["AP50"] >= 0.95 and figures["HOTA"] >= 0.8, figures
    assert_heard_when_it_sounds(run, one_clip, tmp_path / "results.json")


def assert_heard_when_it_sounds(run: Path, data: Path, results: Path) -> None:
    """The best track of each class has masks where the truth has, and nowhere else."""
    split = open_split(data, "val", num_classes=26, audio=None)
    predict(PredictRequest(weights=run, data=data, split="val", device_name="cpu"), results)
    (tracks,) = read_results(results, split).values()
    said = {track.label: [area(mask) > 0 for mask in track.masks] for track in reversed(tracks)}
    for track in split.clips[0].tracks:
        assert said[track.label] == [mask is not None for mask in track.masks]
