"""Speed, latency, parameters and peak memory of every model, as `avis-data benchmark-model` says them.

Run: python -m benchmarks.models [--device cuda] [--num-frames N]   (four minutes on one CPU thread)

Weights are random, so there is little to make masks of, and trained ones are somewhat slower. Each config runs in a
process of its own: on a CPU the peak is that of the process, with Python and PyTorch in it (about 400 MB).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

__all__ = ["main"]

TINY = ("avism_tiny", "rcf_tiny", "afcv_tiny", "crossvis_tiny", "avs_bg_tiny", "tpavi_tiny")
FULL: tuple[tuple[str, ...], ...] = (
    ("avism_r50",),
    ("rcf_r50_audio", "model.audio=false"),
    ("rcf_r50_audio",),
    ("rcf_r101",),
    ("rcf_swinb",),
    ("rcf_swinl",),
    ("crossvis_r50",),
    ("afcv_r50",),
    ("avs_bg_r50_s4",),
    ("avs_bg_pvt_s4",),
    ("avsbench_r50_s4",),
    ("avsbench_pvt_s4",),
    ("avsbench_pvt_s4", "model.pairwise=true"),
)
"""Config and settings. The last one is the baseline of AVSBench as published, with the product of all cells."""
AVS_FRAMES = 5
"""Of a clip of AVSBench."""


def measured(config: str, settings: tuple[str, ...], *, frames: int, repeats: int, device: str) -> dict[str, Any]:
    """What `benchmark-model` says."""
    command = [sys.executable, "-m", "avis_data", "benchmark-model", "--json", "--config", config, "--device", device]
    command += ["--num-frames", str(frames), "--repeats", str(repeats)]
    command += [part for setting in settings for part in ("--set", setting)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def row(*cells: str) -> None:
    """Print one line of a Markdown table."""
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-frames", type=int, default=5, help="of the clips of full-size models; tiny ones have 10")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", choices=["tiny", "full"], default=None)
    arguments = parser.parse_args()
    tiny = [((name,), 10, 3) for name in TINY] if arguments.only != "full" else []
    full = [(form, arguments.num_frames, 1) for form in FULL] if arguments.only != "tiny" else []
    row("config", "answers", "input", "parameters", "frames/s", "latency at 6 frames/s, s", "peak MB")
    row(*["---"] * 7)
    for (config, *settings), frames, repeats in [*tiny, *full]:
        frames = AVS_FRAMES if config.startswith(("avs_", "avsbench", "tpavi")) else frames
        found = measured(config, tuple(settings), frames=frames, repeats=repeats, device=arguments.device)
        height, width = found["network_size"]
        row(
            " ".join((config, *settings)),
            "each frame" if found["online"] else f"after {found['num_frames']} frames",
            f"{width} x {height}",
            f"{found['parameters']:,}",
            f"{found['fps']:.2f}" if found["fps"] < 10 else f"{found['fps']:.0f}",
            f"{found['latency_s']:.2f}",
            f"{found['peak_memory_mb']:,.0f}",
        )


if __name__ == "__main__":
    main()
