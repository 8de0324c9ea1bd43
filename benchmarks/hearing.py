"""How much do the baselines listen, and do they keep their order with other seeds?

    avis-data synth --num-clips 1200 --seconds 3 --seed 2 --size 128x72 --video-fps 8 --out world   # then the chain
    python -m benchmarks.hearing --data EXPORT --scenes world/scenes.json --out runs/hearing --seeds 0 1 2 --device cpu

Trains each model (what is there is gone on with), asks it under all conditions of `avis-data stress` and prints its
audio reliance in points of strict FSLA; then Kendall's tau of the order of the models between each two seeds. To give
each the same time, train them before, each with its own number of iterations, into OUT/<model>-<seed>.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import yaml
from scipy.stats import kendalltau

from avis_data.metrics.text_tables import text_table
from avis_data.stress.plan import Given, StressPlan, make_plan, write_plan
from avis_data.stress.scoring import ModelScore, score_model
from avis_data.training.predict.predict import PredictRequest
from avis_data.training.predict.stress import StressedModel, predict_stressed
from benchmarks.audio_needed import FORMS, trained_run

MODELS: dict[str, tuple[str, tuple[str, ...]]] = {
    "avism": ("avism_tiny", ()),
    "avism without sound": ("avism_tiny", FORMS["avism"]["no-audio"]),
    "heed": ("heed_tiny", ()),
    "rcf": ("rcf_tiny", ()),
    "rcf without sound": ("rcf_tiny", FORMS["rcf"]["no-audio"]),
    "afcv": ("afcv_tiny", ()),
    "afcv without sound": ("afcv_tiny", FORMS["afcv"]["no-audio"]),
}
"""Config and settings by model; avs-bg gives masks without identities, which have no FSLA."""


def scored(run: Path, name: str, plan: StressPlan, given: Given, device: str) -> ModelScore:
    """A trained run under all conditions."""
    model = StressedModel(request=PredictRequest(weights=run, data=given.data, device_name=device))
    predict_stressed(model, plan, given, run / "heard", conditions=plan.conditions)
    return score_model(plan, given.data / f"{given.split}.json", run / "heard", name=name)


def as_begun(run: Path) -> list[str]:
    """The iterations of a run that was begun before, as a setting."""
    if not (run / "config.yaml").exists():
        return []
    return [f"loop.iterations={yaml.safe_load((run / 'config.yaml').read_text())['loop']['iterations']}"]


def taus(reliance: Mapping[int, Sequence[float]]) -> dict[tuple[int, int], float]:
    """Kendall's tau of the order of the models between each two seeds; their reliance is given in the same order."""
    return {
        (one, other): float(kendalltau(reliance[one], reliance[other]).statistic)
        for one, other in combinations(reliance, 2)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scenes", type=Path, default=None)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--conditions", nargs="+", default=[])
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    given = Given(data=arguments.data, scenes=arguments.scenes)
    plan = make_plan(given, conditions=arguments.conditions)
    write_plan(arguments.out / "stress.json", plan)
    rows, reliance = [], {seed: [] for seed in arguments.seeds}
    for seed in arguments.seeds:
        for name in arguments.models:
            config, settings = MODELS[name]
            run = arguments.out / f"{name.replace(' ', '-')}-{seed}"
            settings = (*settings, *arguments.settings, f"loop.seed={seed}", *as_begun(run))
            trained_run(arguments.data, run, config, settings, arguments.device)
            found = scored(run, name, plan, given, arguments.device).reliance
            reliance[seed].append(0.0 if found is None else found.value)
            interval = None if found is None else found.interval
            ends = "" if interval is None else f"[{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"
            rows.append([name, str(seed), f"{100 * reliance[seed][-1]:+.1f} {ends}"])
            print(f"{rows[-1][0]}, seed {seed}: {rows[-1][2]}", flush=True)
    print("\n" + text_table(["model", "seed", "audio reliance"], sorted(rows)))
    for (one, other), tau in taus(reliance).items():
        print(f"Kendall's tau of seeds {one} and {other}: {tau:.2f}")


if __name__ == "__main__":
    main()
