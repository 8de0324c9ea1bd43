"""Does a model need the sound? With and without it on a synthetic export, tested with wrong sound too.

    avis-data synth --num-clips 1200 --seconds 3 --seed 2 --size 128x72 --video-fps 8 --out world   # then the chain
    python benchmarks/audio_needed.py --data EXPORT --out runs/audio --seeds 0 --set loop.iterations=1600
    python benchmarks/audio_needed.py --data EXPORT --out runs/afcv --config afcv_tiny --seeds 0 1 2

Prints strict figures on the split `test`, in percent, with the bootstrap interval over clips of FSLA and mAP.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from avis_data.errors import ConfigError
from avis_data.io import atomic_dir
from avis_data.metrics import Mode, bootstrap_intervals, evaluate_files
from avis_data.training.config import RunConfig, load_config
from avis_data.training.predict.predict import PredictRequest, predict
from avis_data.training.registry import MODELS
from avis_data.training.run.train import train_baseline

FORMS: dict[str, dict[str, tuple[str, ...]]] = {
    "avism": {
        "full": (),
        "no-audio": ("model.frame_fusion=false", "model.video_fusion=false"),
        "frame-fusion": ("model.video_fusion=false",),
    },
    "afcv": {"full": (), "no-audio": ("model.audio=false",), "no-crossover": ("loss.crossover=false",)},
    "rcf": {"full": (), "no-audio": ("model.audio=false",), "no-references": ("model.references=0",)},
}
"""By model: what is changed."""
METRICS = ("FSLA", "HOTA", "AP_all", "AP50")


def with_other_sound(
    data: Path, target: Path, changed: Callable[[NDArray[np.int16]], NDArray[np.int16]], *, of_next: bool = False
) -> Path:
    """The split `test` with each sound (N, C) changed, or that of the next clip."""
    if target.exists():
        return target
    with atomic_dir(target) as folder:
        (folder / "test" / "WAVAudios").mkdir(parents=True)
        shutil.copy(data / "test.json", folder)
        (folder / "test" / "JPEGImages").symlink_to((data / "test" / "JPEGImages").resolve())
        sounds = sorted((data / "test" / "WAVAudios").iterdir())
        for place, path in enumerate(sounds):
            heard = sounds[(place + of_next) % len(sounds)]
            samples_NC, rate = soundfile.read(heard, dtype="int16", always_2d=True)
            soundfile.write(folder / "test" / "WAVAudios" / path.name, changed(samples_NC), rate)
    return target


def measure(weights: Path, data: Path, out: Path, device: str) -> Mapping[str, str]:
    """Strict figures in percent, with intervals where there are any."""
    predict(PredictRequest(weights=weights, data=data, device_name=device), out)
    found = evaluate_files(data / "test.json", out, modes=[Mode.STRICT])
    figures = found.result.as_dict()["strict"]
    intervals = bootstrap_intervals(found.result, num_draws=200, rng=np.random.default_rng(0))[Mode.STRICT]
    shown = {}
    for name in METRICS:
        interval = intervals.get(name)
        value = 100 * (figures[name] or 0.0)
        shown[name] = f"{value:.1f}" + (f" ({100 * interval.low:.1f}..{100 * interval.high:.1f})" if interval else "")
    return shown


def trained_run(data: Path, run: Path, config_name: str, settings: Sequence[str], device: str) -> Path:
    """The folder of a finished run; it is trained, or gone on with, where it is not.

    Raises:
        ConfigError: if the folder holds a run of something else.
    """
    config = load_config(config_name, settings)
    if (run / "config.yaml").exists() and _asked(load_config(run / "config.yaml")) != _asked(config):
        raise ConfigError(f"{run}: holds a run of another config than {config_name}", hint="give another --out")
    if not (run / "checkpoints" / f"{config.loop.iterations:07d}").exists():
        train_baseline(data, config, run, resume=(run / "config.yaml").exists(), device_name=device)
    return run


def _asked(config: RunConfig) -> tuple[object, ...]:
    """What makes a run another one: not what follows from the training set or the machine."""
    model = None if MODELS[config.model_name].fitted else config.model
    return config.model_name, model, config.loss, config.data, config.loop.seed, config.loop.iterations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", default="avism_tiny")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--forms", nargs="+", default=None, help="Default: all that the model has.")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    forms = FORMS[load_config(arguments.config, arguments.settings).model_name]
    silent = with_other_sound(arguments.data, arguments.out / "silent", np.zeros_like)
    other = with_other_sound(arguments.data, arguments.out / "other", lambda samples_NC: samples_NC, of_next=True)
    print("| form | seed | sound at test | " + " | ".join(METRICS) + " |")
    print("|---|---|---|" + "---|" * len(METRICS))
    for form in arguments.forms or forms:
        for seed in arguments.seeds:
            settings = [*arguments.settings, *forms[form], f"loop.seed={seed}"]
            run = arguments.out / f"{form}-{seed}"
            trained_run(arguments.data, run, arguments.config, settings, arguments.device)
            tests = {"its own": arguments.data}
            if form == "full":
                tests |= {"silenced": silent, "of another clip": other}
            for name, data in tests.items():
                shown = measure(run, data, run / f"results-{name.replace(' ', '-')}.json", arguments.device)
                print(f"| {form} | {seed} | {name} | " + " | ".join(shown.values()) + " |", flush=True)
                (run / f"figures-{name.replace(' ', '-')}.json").write_text(json.dumps(shown))


if __name__ == "__main__":
    main()
