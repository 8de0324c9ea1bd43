"""Do the online baselines learn, and does the sound help? With and without audio on a synthetic export, several seeds.

    avis-data synth --num-clips 640 --seconds 3 --seed 2 --size 128x72 --video-fps 8 --out world   # then the chain
    python -m benchmarks.learn_baselines --data EXPORT --out runs/learn --configs rcf_tiny afcv_tiny --seeds 0 1 2

Prints Markdown: for every run the figures on the split `test` in percent with their bootstrap interval over clips, then
for every seed whether audio wins, on the same draws of clips. AR1 and AR10 are those of the YouTube-VIS protocol, the
others are strict. An interval is over clips, of one training: look at the seeds too before you believe a gain.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from avis_data.metrics import Mode, bootstrap_intervals, evaluate_files
from avis_data.metrics.comparison import Difference, compare_results
from avis_data.metrics.evaluation import AvisResult
from avis_data.training.config import load_config
from avis_data.training.predict.predict import PredictRequest, predict
from benchmarks.audio_needed import FORMS, trained_run

METRICS = {
    "AP": (Mode.STRICT, "AP_all"),
    "AP50": (Mode.STRICT, "AP50"),
    "AP75": (Mode.STRICT, "AP75"),
    "AR1": (Mode.YTVIS, "AR1"),
    "AR10": (Mode.YTVIS, "AR10"),
    "FSLA": (Mode.STRICT, "FSLA"),
    "HOTA": (Mode.STRICT, "HOTA"),
}
"""What is shown: in which mode, and its name there."""
_COMPARED = ("full", "no-audio")


def measured(run: Path, data: Path, device: str) -> AvisResult:
    """What the evaluator says of a run's predictions of the split `test`."""
    results = run / "results.json"
    predict(PredictRequest(weights=run, data=data, device_name=device), results)
    return evaluate_files(data / "test.json", results, modes=[Mode.STRICT, Mode.YTVIS]).result


def shown(result: AvisResult, draws: int) -> list[str]:
    """The figures in percent with their intervals."""
    intervals = bootstrap_intervals(result, num_draws=draws, rng=np.random.default_rng(0))
    values = result.as_dict()
    cells = []
    for mode, name in METRICS.values():
        interval = intervals[mode].get(name)
        span = f" ({100 * interval.low:.1f}..{100 * interval.high:.1f})" if interval else ""
        cells.append(f"{100 * (values[mode.value][name] or 0.0):.1f}{span}")
    return cells


def gains(with_audio: AvisResult, without: AvisResult, draws: int) -> list[str]:
    """How much more the first has, percentage points, with interval and p-value."""
    found = compare_results(without, with_audio, num_draws=draws, rng=np.random.default_rng(0))
    return [_gain(found[mode], name) for mode, name in METRICS.values()]


def _gain(differences: Mapping[str, Difference | None], name: str) -> str:
    found = differences.get(name)
    if found is None:
        return ""
    low, high = 100 * found.low, 100 * found.high
    sure = "" if found.verdict != "not shown" else ", not shown"
    return f"{100 * found.difference:+.1f} [{low:+.1f}, {high:+.1f}], p = {found.p_value:.3f}{sure}"


def row(*cells: str) -> None:
    """Print one line of a Markdown table."""
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--configs", nargs="+", default=["rcf_tiny", "afcv_tiny"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    found: dict[tuple[str, int, str], AvisResult] = {}
    row("config", "form", "seed", *METRICS)
    row(*["---"] * (3 + len(METRICS)))
    for config in arguments.configs:
        forms = FORMS[load_config(config).model_name]
        for seed in arguments.seeds:
            for form in _COMPARED:
                run = arguments.out / f"{config}-{form}-{seed}"
                settings = [*arguments.settings, *forms[form], f"loop.seed={seed}"]
                trained_run(arguments.data, run, config, settings, arguments.device)
                found[config, seed, form] = measured(run, arguments.data, arguments.device)
                row(config, form, str(seed), *shown(found[config, seed, form], arguments.draws))
    print()
    row("config", "gain by audio, seed", *METRICS)
    row(*["---"] * (2 + len(METRICS)))
    for config in arguments.configs:
        for seed in arguments.seeds:
            pair = [found[config, seed, form] for form in _COMPARED]
            row(config, str(seed), *gains(pair[0], pair[1], arguments.draws))


if __name__ == "__main__":
    main()
