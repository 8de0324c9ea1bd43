"""What each switch of `heed_tiny` gives over `avism_tiny`, at the same budget: strict figures, seed by seed.

    avis-data synth --num-clips 2400 --seconds 3 --seed 2 --size 128x72 --video-fps 8 --out world   # then the chain
    python -m benchmarks.heed --data EXPORT --scenes world/scenes.json --out runs/heed --seeds 0 1 2 --device cpu

    python -m benchmarks.heed ... --base heed --forms heed "no panorama" "no counting" --slices all look-alikes

Prints Markdown: each form on the split `test`, and its gain over `avism`, or `--base`, on the same draws of clips; then
the same of the clips in which two things look alike and one of them sounds; of both with the channels of the sound
swapped, and with the mean of the two in each; predicted frame by frame; and of longer clips. A run that is there is
gone on with. What does not hold for every seed is not claimed.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avis_data.metrics import Mode, evaluate_files
from avis_data.metrics.evaluation import AvisResult
from avis_data.synth.labels import read_scenes
from avis_data.training.predict.predict import PredictRequest, predict
from benchmarks.audio_needed import trained_run, with_other_sound
from benchmarks.learn_baselines import METRICS, gains, row, shown

_BY_BANDS = ("data.audio=stereo-parts", "model.audio_channels=1280", "model.panorama=false")
FORMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "avism": ("avism_tiny", ()),
    "heed": ("heed_tiny", ()),
    "directions": ("heed_tiny", ("data.directions=0.25",)),
    "mono": (
        "heed_tiny",
        ("data.audio=logmel", "model.audio_channels=128", "model.audio_tokens=1", "model.panorama=false"),
    ),
    "one token a second": ("heed_tiny", ("model.audio_tokens=1",)),
    "no panorama": ("heed_tiny", _BY_BANDS),
    "no sounding pixels": ("heed_tiny", ("model.sounding_pixels=false",)),
    "neither": ("heed_tiny", (*_BY_BANDS, "model.sounding_pixels=false")),
    "no map": ("heed_tiny", ("model.sounding_map=false",)),
    "no places": ("heed_tiny", ("model.placed_fusion=false",)),
    "no sounding head": ("heed_tiny", ("model.sounding_head=false",)),
    "no counting": ("heed_tiny", ("model.counting_head=false",)),
    "no negatives": ("heed_tiny", ("data.negatives=0",)),
    "whole clip": ("heed_tiny", ("model.window=0",)),
}
"""Config and settings of each form."""
SLICES = ("all", "look-alikes", "swapped", "mono", "frame by frame", "longer")


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Something that is measured of each run."""

    name: str
    results: str
    """Which results it is of; several are of the same."""
    data: Path
    only: Collection[str] | None = None
    """None: all clips."""
    options: tuple[str, ...] = ()
    """Of the prediction."""


def swapped(samples_NC: NDArray[np.int16]) -> NDArray[np.int16]:
    """What was heard from the left from the right."""
    return samples_NC[:, ::-1]


def mono(samples_NC: NDArray[np.int16]) -> NDArray[np.int16]:
    """Both channels have the mean of the two."""
    mean_N1 = samples_NC.mean(axis=1, keepdims=True).round().astype(np.int16)
    return np.repeat(mean_N1, samples_NC.shape[1], axis=1)


def look_alikes(scenes: Path) -> Collection[str]:
    """The clips in which two things look alike and one of them sounds."""
    return {scene.clip_id for scene in read_scenes(scenes) if scene.look_alikes}


def slices_of(data: Path, scenes: Path, longer: Path | None, out: Path, names: Collection[str]) -> list[Slice]:
    """Those with these names; the exports with other sound are made under `out` where one of them needs them."""
    alike = look_alikes(scenes)
    found = []
    if "all" in names:
        found.append(Slice(name="all", results="all", data=data))
    if "look-alikes" in names:
        found.append(Slice(name="look-alikes", results="all", data=data, only=alike))
    for name, changed in (("swapped", swapped), ("mono", mono)):
        if name in names:
            other = with_other_sound(data, out / name, changed)
            found.append(Slice(name=name, results=name, data=other))
            found.append(Slice(name=f"look-alikes, {name}", results=name, data=other, only=alike))
    if "frame by frame" in names:
        options = ("predict.online=true",)
        found.append(Slice(name="frame by frame", results="frame-by-frame", data=data, options=options))
    if "longer" in names and longer is not None:
        found.append(Slice(name="longer clips", results="long", data=longer))
    return found


def measured(run: Path, part: Slice, device: str) -> AvisResult:
    """What a run says of a slice; results that are there are read."""
    results = run / f"results-{part.results}.json"
    if not results.exists():
        predict(PredictRequest(weights=run, data=part.data, settings=part.options, device_name=device), results)
    return evaluate_files(part.data / "test.json", results, modes=[Mode.STRICT, Mode.YTVIS], only=part.only).result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, required=True)
    parser.add_argument("--long", type=Path, help="An export of longer clips, which are predicted too.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--forms", nargs="+", default=list(FORMS), choices=list(FORMS))
    parser.add_argument("--base", default="avism", choices=list(FORMS), help="What the others are compared with.")
    parser.add_argument("--slices", nargs="+", default=list(SLICES), choices=list(SLICES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    slices = slices_of(arguments.data, arguments.scenes, arguments.long, arguments.out, arguments.slices)
    found: dict[tuple[str, int, str], AvisResult] = {}
    for seed in arguments.seeds:
        for form in arguments.forms:
            config, settings = FORMS[form]
            run = arguments.out / f"{form.replace(' ', '-')}-{seed}"
            settings = (*settings, *arguments.settings, f"loop.seed={seed}")
            trained_run(arguments.data, run, config, settings, arguments.device)
            for part in slices:
                found[form, seed, part.name] = measured(run, part, arguments.device)
    for part in slices:
        print(f"\n{part.name}:\n")
        row("form", "seed", *METRICS)
        row(*["---"] * (2 + len(METRICS)))
        for seed in arguments.seeds:
            for form in arguments.forms:
                result = found[form, seed, part.name]
                row(form, str(seed), *shown(result, arguments.draws))
                if form != arguments.base and arguments.base in arguments.forms:
                    gain = gains(result, found[arguments.base, seed, part.name], arguments.draws)
                    row(f"{form} over {arguments.base}", str(seed), *gain)


if __name__ == "__main__":
    main()
