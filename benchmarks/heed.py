"""What each switch of `heed_tiny` gives over `avism_tiny`, at the same budget: strict figures, seed by seed.

    avis-data synth --num-clips 2400 --seconds 3 --seed 2 --size 128x72 --video-fps 8 --out world   # then the chain
    python -m benchmarks.heed --data EXPORT --scenes world/scenes.json --out runs/heed --seeds 0 1 2 --device cpu

Prints Markdown: each form on the split `test`, then its gain over `avism` on the same draws of clips; then both on the
clips in which two things look alike and one of them sounds, with the channels of the sound swapped, and predicted frame
by frame. A run that is there is gone on with. What does not hold for every seed is not claimed.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.metrics import Mode, evaluate_files
from avis_data.metrics.evaluation import AvisResult
from avis_data.synth.labels import read_scenes
from avis_data.training.predict.predict import PredictRequest, predict
from benchmarks.audio_needed import trained_run, with_other_sound
from benchmarks.learn_baselines import METRICS, gains, row, shown

BASE = "avism"
FORMS: dict[str, tuple[str, tuple[str, ...]]] = {
    BASE: ("avism_tiny", ()),
    "heed": ("heed_tiny", ()),
    "mono": ("heed_tiny", ("data.audio=logmel", "model.audio_channels=128", "model.audio_tokens=1")),
    "one token a second": ("heed_tiny", ("data.audio=stereo", "model.audio_channels=320", "model.audio_tokens=1")),
    "no map": ("heed_tiny", ("model.sounding_map=false",)),
    "no places": ("heed_tiny", ("model.placed_fusion=false",)),
    "no sounding head": ("heed_tiny", ("model.sounding_head=false",)),
    "no counting": ("heed_tiny", ("model.counting_head=false",)),
    "no negatives": ("heed_tiny", ("data.negatives=0",)),
    "whole clip": ("heed_tiny", ("model.window=0",)),
}
"""Config and settings of each form."""


def swapped(samples_NC: NDArray[np.int16]) -> NDArray[np.int16]:
    """What was heard from the left from the right."""
    return samples_NC[:, ::-1]


def look_alikes(scenes: Path) -> Collection[str]:
    """The clips in which two things look alike and one of them sounds."""
    return {scene.clip_id for scene in read_scenes(scenes) if scene.look_alikes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    slices = {
        "all": (arguments.data, None, ()),
        "look-alikes": (arguments.data, look_alikes(arguments.scenes), ()),
        "swapped": (with_other_sound(arguments.data, arguments.out / "swapped", swapped), None, ()),
        "frame by frame": (arguments.data, None, ("predict.online=true",)),
    }
    found: dict[tuple[str, int, str], AvisResult] = {}
    for seed in arguments.seeds:
        for form in arguments.forms:
            config, settings = FORMS[form]
            run = arguments.out / f"{form.replace(' ', '-')}-{seed}"
            trained_run(
                arguments.data, run, config, [*settings, *arguments.settings, f"loop.seed={seed}"], arguments.device
            )
            for name, (data, only, options) in slices.items():
                results = run / f"results-{'all' if name == 'look-alikes' else name.replace(' ', '-')}.json"
                if not results.exists():
                    asked = PredictRequest(weights=run, data=data, settings=options, device_name=arguments.device)
                    predict(asked, results)
                modes = [Mode.STRICT, Mode.YTVIS]
                found[form, seed, name] = evaluate_files(data / "test.json", results, modes=modes, only=only).result
    for name in slices:
        print(f"\n{name}:\n")
        row("form", "seed", *METRICS)
        row(*["---"] * (2 + len(METRICS)))
        for seed in arguments.seeds:
            for form in arguments.forms:
                row(form, str(seed), *shown(found[form, seed, name], arguments.draws))
                if form != BASE and BASE in arguments.forms:
                    gain = gains(found[form, seed, name], found[BASE, seed, name], arguments.draws)
                    row(f"{form} over {BASE}", str(seed), *gain)


if __name__ == "__main__":
    main()
