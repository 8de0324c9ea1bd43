"""Short ways to adopt one video or a whole set in this process, and a small set to adopt."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import soundfile

from avis_data.paths import Workspace
from avis_data.pipelines.engine.runner import StageReport
from avis_data.pipelines.engine.stage import Stage, Workbench
from avis_data.pipelines.engine.worker import Failure, Job, Success, execute
from avis_data.pipelines.imports.existing_set import import_set, read_set
from avis_data.pipelines.imports.removed import redaction_of
from avis_data.pipelines.imports.truth import ImportReport
from avis_data.pipelines.stages.adopt import AdoptOptions, AdoptRequest, AdoptStage
from avis_data.recipe import create_workspace
from support.ytvis_world import HEIGHT, SECONDS, WIDTH

__all__ = ["Adopted", "InlineExecutors", "adopt_one", "enter_set", "samples_of", "set_entered"]


class InlineExecutors:
    """Runs every job at once, in this process."""

    workers = 1

    def __call__(self, stage: Stage, num_jobs: int) -> Self:
        self._stage, self._ended = stage, list[Success | Failure]()
        return self

    def submit(self, job: Job, timeout_s: float) -> None:
        self._ended.append(execute(self._stage, job))

    def wait(self, timeout_s: float) -> list[Success | Failure]:
        ended, self._ended = self._ended, []
        return ended

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@dataclass(frozen=True)
class Adopted:
    """What one run of the stage left."""

    folder: Path
    facts: dict[str, Any]
    times: dict[str, Any]


def adopt_one(media: Path, name: str, *, missing_sound: str = "fail", **changes: Any) -> Adopted:
    """Run the stage on one video that `support.ytvis_world` made; `changes` are of the request."""
    values = {"clip_id": name, "name": name, "width": WIDTH, "height": HEIGHT, "fps": 1.0}
    request = AdoptRequest(**(values | {"stills": [f"{second}.jpg" for second in range(SECONDS)]} | changes))
    out = Path(tempfile.mkdtemp(dir=media.parent))
    bench = Workbench(item_id=name, record=request, inputs={"media": media}, out=out, scratch=media.parent)
    facts = AdoptStage(AdoptOptions(missing_sound=missing_sound)).run(bench).model_dump(mode="json")
    left = ["audio.wav", *(["audio_stereo.wav"] if facts["stereo_db"] is not None else []), "frames", "times.json"]
    assert sorted(path.name for path in out.iterdir()) == left
    return Adopted(out, facts, json.loads((out / "times.json").read_text()))


def enter_set(
    workspace: Workspace, root: Path, split: str, *, as_split: Any = None, verify: bool = False, skip_bad: bool = False
) -> tuple[StageReport, ImportReport]:
    """Bring in `root/<split>.json` with `root/<split>/`."""
    recipe = create_workspace(workspace, "aviseg")
    redaction = redaction_of(workspace, recipe)
    files = read_set(root / f"{split}.json", root / split, split=as_split, redaction=redaction)
    executors = InlineExecutors()
    adopted, truth = import_set(workspace, recipe, files, executors=executors, verify=verify, skip_bad=skip_bad)
    assert isinstance(adopted, StageReport) and isinstance(truth, ImportReport)
    return adopted, truth


def set_entered(workspace: Workspace, root: Path, split: str, **choices: Any) -> Workspace:
    """The workspace, after `enter_set` went well."""
    adopted, truth = enter_set(workspace, root, split, **choices)
    assert not adopted.failed and not truth.problems
    return workspace


def samples_of(path: Path) -> np.ndarray:
    """int16 (N,) of a clip's WAV, of which form and rate are checked."""
    samples, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == 16_000 and samples.ndim == 1
    return samples
