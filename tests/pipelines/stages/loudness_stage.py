"""A stage as anybody may add it: how loud a clip is. With its line in `pipelines/stages/__init__.py` it would ship."""

from __future__ import annotations

import os
import wave
from typing import Literal

import numpy as np

from avis_data.errors import ItemError, Reason
from avis_data.io import write_json
from avis_data.ledger import Ledger
from avis_data.pipelines.engine.spec import Candidates, StageSpec, made_as_now
from avis_data.pipelines.engine.stage import Input, Item, Workbench
from avis_data.records import Record, SafeId

FAILS = "LOUDNESS_FAILS"
"""Names the clip that the stage has no luck with; for the test."""


class LoudnessParams(Record):
    """What loudness depends on besides the sound."""

    measure: Literal["rms", "peak"] = "rms"


class LoudnessRequest(Record):
    """Which clip."""

    clip_id: SafeId


class LoudnessFacts(Record):
    """What was found out."""

    loudness: float


class LoudnessStage:
    """`audio.wav` to `loudness.json`."""

    name = "loudness"
    version = 1

    def __init__(self, params: LoudnessParams) -> None:
        self.params = params

    def timeout_s(self, record: Record) -> float:
        """A minute."""
        return 60.0

    def run(self, bench: Workbench) -> LoudnessFacts:
        """Write `loudness.json`. Raises ItemError: `timeout` where the test says so."""
        if os.environ.get(FAILS) == bench.item_id:
            raise ItemError(f"{bench.item_id}: no luck", reason=Reason.TIMEOUT)
        with wave.open(str(bench.inputs["audio"])) as wav:
            samples_N = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2") / 32768
        peak = self.params.measure == "peak"
        loudness = float(np.abs(samples_N).max() if peak else np.sqrt(np.mean(samples_N**2)))
        write_json(bench.out / "loudness.json", {"loudness": loudness})
        return LoudnessFacts(loudness=loudness)


def loudness_items(ledger: Ledger) -> Candidates:
    """One item per clip that was extracted."""
    found, items, outputs = Candidates(), [], ledger.outputs("extract")
    for clip_id, _ in ledger.wanted("clip"):
        if clip_id not in outputs:
            found.num_waiting += 1
            continue
        audio = next(output for output in outputs[clip_id] if output.name == "audio.wav")
        items.append(
            Item(
                item_id=clip_id,
                record=LoudnessRequest(clip_id=clip_id),
                inputs={"audio": Input.of(audio)},
                home=f"clips/{clip_id}",
            )
        )
    found.items = items
    return found


SPEC = StageSpec(
    name=LoudnessStage.name,
    summary="Measure how loud the clips are.",
    make=lambda recipe, choices: LoudnessStage(choices.of(LoudnessParams)),
    items=lambda setting: loudness_items(setting.ledger),
    covers=("clip",),
    after=("extract",),
    up_to_date=lambda ledger, recipe: made_as_now(
        ledger, LoudnessStage(LoudnessParams()), loudness_items(ledger).items
    ),
    workers=2,
)
