"""What sound, motion gate and bidirectional generation add, on a synthetic dataset in the layout of S4 or MS3.

    avis-data synth --num-clips 240 --seconds 5 --seed 2 --size 128x72 --video-fps 8 --out world   # then the chain, and
    avis-data -C ds export --format avsbench-ms3 --split 160/20/60 --seed 1 --name ms3
    python -m benchmarks.learn_avs --data ds/exports/ms3 --out runs/avs --seeds 0
    python -m benchmarks.learn_avs --data ds/exports/ms3 --out runs/tpavi --config tpavi_tiny --seeds 0

Prints figures on the split `test`, in percent: mIoU over all frames, over those with an object and those without, and
F, which do not depend on the order of the clips; and mIoU and F as the published code has them, for groups of one clip.
Then, for each two forms of a seed, the difference of the IoU of frames with an object, with its interval over the same
draws of clips.
"""

from __future__ import annotations

import argparse
import json
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avis_data.formats.avsbench_clips import open_layout
from avis_data.training.checkpoints.trained import load_trained
from avis_data.training.config import load_config
from avis_data.training.device import choose_device
from avis_data.training.run.avs_task import AvsTask
from avis_data.training.run.distributed import Processes
from benchmarks.audio_needed import trained_run

DEAF = ("model.fusion=none", "model.motion=false", "model.generation=false", "loss.kl_weight=0")
FORMS: dict[str, dict[str, tuple[str, ...]]] = {
    "av_corr": {
        "full": (),
        "no-motion": ("model.motion=false",),
        "no-generation": ("model.generation=false",),
        "sound-only": ("model.motion=false", "model.generation=false"),
        "no-audio": DEAF,
    },
    "tpavi": {"full": (), "generation": ("model.generation=true",), "no-audio": DEAF},
}
"""By fusion: what is changed."""
FIRST_LABELS = ("loss.kl_weight=0", "loss.generation_mask=logits")
"""Of a dataset that labels first frames only (S4)."""
COLUMNS = ("mIoU", "mIoU_object", "mIoU_no_object", "F")


def measure(run: Path, data: Path, device: str) -> dict[str, Any]:
    """The figures of a run's best weights on the split `test`."""
    chosen = choose_device(device)
    model, config = load_trained(run, None, ["validation.clips=null"])
    return dict(AvsTask().open(data, "test", config).validate(model.to(chosen), config, Processes(), chosen))


def object_ious(run: Path, data: Path, device: str) -> NDArray[np.float64]:
    """Sum of the IoU of a test clip's frames with an object, and the number of these: (clips, 2)."""
    chosen, masks = choose_device(device), run / "masks"
    model, config = load_trained(run, None, [])
    shutil.rmtree(masks, ignore_errors=True)
    split = AvsTask().open(data, "test", config)
    split.predict(model.to(chosen), config, chosen, masks, on_clip=lambda _: None)
    sums = []
    for clip in open_layout(data).clips("test"):
        ious = []
        for true, name in zip(clip.masks, clip.result_names, strict=True):
            inside = None if true is None else np.asarray(Image.open(true)) > 0
            if inside is not None and inside.any():
                found = np.asarray(Image.open(masks / clip.result / name)) > 127
                ious.append((found & inside).sum() / (found | inside).sum())
        sums.append((sum(ious), len(ious)))
    return np.asarray(sums, dtype=np.float64)


def difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> str:
    """In percent, with the 95 % interval of 1000 draws of clips."""
    drawn = np.random.default_rng(0).integers(0, len(first), (1000, len(first)))
    changed, frames = first[:, 0] - second[:, 0], first[:, 1]
    low, high = np.percentile(changed[drawn].sum(1) / np.maximum(frames[drawn].sum(1), 1), [2.5, 97.5])
    return f"{100 * changed.sum() / frames.sum():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def row(figures: dict[str, Any]) -> str:
    """Cells of the table."""
    strict, reference = figures["strict"], figures["reference"]
    values = [*(strict[name] for name in COLUMNS), reference["mIoU"], reference["F"]]
    return " | ".join("" if value is None else f"{100 * value:.1f}" for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="avs_bg_tiny")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--forms", nargs="+", default=None, help="Default: all that the model has.")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    of_data = FIRST_LABELS if open_layout(arguments.data).name == "s4" else ()
    settings = [*of_data, *arguments.settings]
    forms = FORMS[load_config(arguments.config, settings).model.fusion]
    print(f"| form | seed | {' | '.join(COLUMNS)} | mIoU, reference | F, reference |")
    print("|---|---|" + "---|" * (len(COLUMNS) + 2))
    ious: dict[tuple[int, str], NDArray[np.float64]] = {}
    for form in arguments.forms or forms:
        for seed in arguments.seeds:
            run = arguments.out / f"{form}-{seed}"
            changed = [*settings, *forms[form], f"loop.seed={seed}"]
            trained_run(arguments.data, run, arguments.config, changed, arguments.device)
            figures = measure(run, arguments.data, arguments.device)
            print(f"| {form} | {seed} | {row(figures)} |", flush=True)
            (run / "figures.json").write_text(json.dumps(figures))
            ious[seed, form] = object_ious(run, arguments.data, arguments.device)
    print("\n| forms | seed | difference in IoU, frames with an object |\n|---|---|---|")
    for (seed, first), (other, second) in combinations(ious, 2):
        if seed == other:
            print(f"| {first} - {second} | {seed} | {difference(ious[seed, first], ious[other, second])} |")


if __name__ == "__main__":
    main()
