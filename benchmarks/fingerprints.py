"""What finding near-duplicates costs, at 1,000, 10,000 and 100,000 fingerprints, and what it finds of planted copies.

The fingerprints are drawn at random: pictures and sound that are smooth and change, ten stills and ten seconds each.
One clip in a hundred is a copy of another: coded with noise, mirrored, or an overlap of seven of its ten seconds. A
link is right where both are copies of one clip, or one is the other's. How copies of real clips are found is what
tests/fingerprints shows.

Run: python -m benchmarks.fingerprints [--sizes 1000,10000,100000] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
from scipy.ndimage import zoom

from avis_data.fingerprints.links import find_links
from avis_data.fingerprints.making import NUM_BANDS, SIDE, STEPS_PER_S, Fingerprint

_STILLS = 10


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000", help="how many fingerprints, separated by commas")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    args = parser.parse_args()
    for size in map(int, args.sizes.split(",")):
        found = measured(size)
        print(
            json.dumps(found) if args.json else "  ".join(f"{name} {value}" for name, value in found.items()),
            flush=True,
        )
    return 0


def measured(size: int) -> dict[str, float]:
    """One size."""
    rng = np.random.default_rng(size)
    prints: list[Fingerprint] = []
    planted, origin = set(), dict[str, str]()
    for number in range(size):
        if number % 100 == 99:
            source = prints[int(rng.integers(len(prints)))]
            copy = copied(source, f"c{number:06d}", number // 100 % 3, rng)
            planted.add((source.clip_id, copy.clip_id))
            origin[copy.clip_id] = origin.get(source.clip_id, source.clip_id)
            prints.append(copy)
        else:
            prints.append(drawn(f"c{number:06d}", rng))
    began = time.process_time()
    links = find_links(prints)
    seconds = time.process_time() - began
    pairs = {(link.first, link.second) for link in links}
    right = sum(origin.get(one, one) == origin.get(two, two) for one, two in pairs)
    return {
        "fingerprints": size,
        "cpu_seconds": round(seconds, 1),
        "cpu_ms_per_fingerprint": round(1000 * seconds / size, 2),
        "recall": round(len(pairs & planted) / max(len(planted), 1), 4),
        "precision": round(right / max(len(pairs), 1), 4),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2, 2),
    }


def drawn(name: str, rng: np.random.Generator) -> Fingerprint:
    """Pictures and sound that are smooth and change all the time."""
    stills_THW = zoom(rng.integers(0, 255, (_STILLS, 6, 6)).astype(np.float32), (1, SIDE / 6, SIDE / 6), order=1)
    sound_NB = zoom(rng.integers(40, 170, (25, 8)).astype(np.float32), (4, NUM_BANDS / 8), order=1)
    return Fingerprint(
        clip_id=name, period_s=1.0, stills_THW=stills_THW.astype(np.uint8), sound_NB=sound_NB.astype(np.uint8)
    )


def copied(source: Fingerprint, name: str, kind: int, rng: np.random.Generator) -> Fingerprint:
    """A copy with noise, a mirrored one, or one that begins three seconds later."""
    stills_THW = np.clip(source.stills_THW + rng.normal(0, 4, source.stills_THW.shape), 0, 255).astype(np.uint8)
    sound_NB = np.clip(source.sound_NB + rng.normal(0, 3, source.sound_NB.shape), 0, 255).astype(np.uint8)
    if kind == 1:
        stills_THW = stills_THW[:, :, ::-1]
    if kind == 2:
        stills_THW, sound_NB = stills_THW[3:], sound_NB[3 * STEPS_PER_S :]
    return Fingerprint(clip_id=name, period_s=1.0, stills_THW=stills_THW, sound_NB=sound_NB)


if __name__ == "__main__":
    sys.exit(main())
