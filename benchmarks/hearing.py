"""How much do the baselines listen, and do they keep their order with other seeds?

    avis-data synth --num-clips 1200 --seconds 3 --seed 2 --size 128x72 --video-fps 8 --out world   # then the chain
    python -m benchmarks.hearing --data EXPORT --scenes world/scenes.json --out runs/hearing --seeds 0 1 2 --device cpu

Trains each model with and without sound (what is there is gone on with), asks it under all conditions of
`avis-data stress` and prints its audio reliance in points of strict FSLA; then Kendall's tau of the order of the models
between each two seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from scipy.stats import kendalltau

from avis_data.metrics.text_tables import text_table
from avis_data.stress.plan import Given, StressPlan, make_plan, write_plan
from avis_data.stress.scoring import ModelScore, score_model
from avis_data.training.predict.predict import PredictRequest
from avis_data.training.predict.stress import StressedModel, predict_stressed
from benchmarks.audio_needed import FORMS, trained_run

CONFIGS = {"avism": "avism_tiny", "rcf": "rcf_tiny", "afcv": "afcv_tiny"}
"""By model; avs-bg gives masks without identities, which have no FSLA."""
COMPARED = ("full", "no-audio")


def scored(run: Path, name: str, plan: StressPlan, given: Given, device: str) -> ModelScore:
    """A trained run under all conditions."""
    model = StressedModel(request=PredictRequest(weights=run, data=given.data, device_name=device))
    predict_stressed(model, plan, given, run / "heard", conditions=plan.conditions)
    return score_model(plan, given.data / f"{given.split}.json", run / "heard", name=name)


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
    parser.add_argument("--models", nargs="+", default=list(CONFIGS), choices=list(CONFIGS))
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
        for model in arguments.models:
            for form in COMPARED:
                name = f"{model} {form}"
                run = arguments.out / f"{model}-{form}-{seed}"
                settings = [*arguments.settings, *FORMS[model][form], f"loop.seed={seed}"]
                trained_run(arguments.data, run, CONFIGS[model], settings, arguments.device)
                found = scored(run, name, plan, given, arguments.device).reliance
                reliance[seed].append(0.0 if found is None else found.value)
                ends = (
                    ""
                    if found is None or found.interval is None
                    else (f"[{100 * found.interval.low:+.1f}, {100 * found.interval.high:+.1f}]")
                )
                rows.append([name, str(seed), f"{100 * reliance[seed][-1]:+.1f} {ends}"])
                print(f"{rows[-1][0]}, seed {seed}: {rows[-1][2]}", flush=True)
    print("\n" + text_table(["model", "seed", "audio reliance"], sorted(rows)))
    for (one, other), tau in taus(reliance).items():
        print(f"Kendall's tau of seeds {one} and {other}: {tau:.2f}")


if __name__ == "__main__":
    main()
