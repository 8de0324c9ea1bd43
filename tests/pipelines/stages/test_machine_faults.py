"""A fault of the machine is never held against an item: every stage, every fault, and `--retry-failed` heals it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from avis_data.annotation.labels.records import Interval, LabelledMask, LabelledTrack, MaskOrigin, PreLabels
from avis_data.annotation.labels.states import states
from avis_data.annotation.labels.store import write_prelabels
from avis_data.annotation.prelabel.prelabel import PrelabelChoices
from avis_data.cli.main import main
from avis_data.errors import Reason
from avis_data.features import vggish
from avis_data.paths import Workspace
from avis_data.pipelines.engine.planner import Selection
from avis_data.pipelines.engine.runner import StageReport
from avis_data.pipelines.engine.spec import Choices
from avis_data.pipelines.engine.worker import Job, execute
from avis_data.pipelines.imports.existing_set import import_set, read_set
from avis_data.pipelines.imports.truth import ImportReport
from avis_data.pipelines.kept_video_list import ListOptions
from avis_data.pipelines.stages import STAGES
from avis_data.pipelines.stages.embed import EmbedChoices
from avis_data.pipelines.stages.fetch import FetchChoices
from avis_data.pipelines.steps import StepRequest, do_steps
from avis_data.recipe import load_recipe
from avis_data.synth.labels import SceneLabels, read_scenes
from support.adopting import InlineExecutors
from support.machine_faults import CODES, SIGNALS, FakeFfmpeg, full_disk, no_more_files, quota, read_only, small_disk
from support.toy_engines import Hears, Sees, toy_engines
from support.ytvis_world import write_split

SECONDS = 3
DISK = {Reason.DISK_FULL}
ACCESS = {Reason.NO_ACCESS}
FILES = {Reason.LIMIT_REACHED}
PASSING = {reason for reason in Reason if reason.retryable}
Fault = Callable[[Workspace], AbstractContextManager[object]]


class FaultyExecutors(InlineExecutors):
    """Runs every job at once in this process, where the fault holds."""

    def __init__(self, fault: Callable[[], AbstractContextManager[object]]) -> None:
        self._fault = fault

    def submit(self, job: Job, timeout_s: float) -> None:
        with self._fault():
            self._ended.append(execute(self._stage, job))


@dataclass(frozen=True)
class Sample:
    """A workspace in which every stage has an item that was done once."""

    workspace: Workspace
    root: Path
    """Where the world and the existing set are that it was made from."""

    @property
    def wanted(self) -> ListOptions:
        """The list of videos, which lies where its videos are."""
        return ListOptions(path=self.root / "world" / "videos.csv", allow_local=True)

    def do(self, name: str, executors: InlineExecutors, selection: Selection) -> list[StageReport]:
        """Do a stage and what always follows it."""
        recipe = load_recipe(self.workspace)
        if name == "adopt":  # the one stage whose items another command makes; that tries failures again by itself
            files = read_set(self.root / "set" / "train.json", self.root / "set" / "train", split="train")
            reports = import_set(self.workspace, recipe, files, executors=executors, skip_bad=True)
            return [report for report in reports if not isinstance(report, ImportReport)]
        request = StepRequest(
            steps=[name],
            executors=lambda _: executors,
            selection=selection,
            choices=Choices(EmbedChoices(untrained=True), FetchChoices(list=self.wanted), self.engines),
        )
        return list(do_steps(self.workspace, recipe, request, command="a test"))

    @property
    def engines(self) -> PrelabelChoices:
        """Toys that hear and see a dog, with any file as their weights."""
        here = self.root / "world" / "scenes.json"
        return PrelabelChoices(
            tagger="hears", tagger_weights=here, detector="sees", detector_weights=here, engine="grabcut"
        )

    def undo(self, name: str) -> None:
        """Take away what the stage left, so that it is to do again."""
        if name == "adopt":
            shutil.rmtree(self.workspace.clip_dir("kept"))


@pytest.fixture(scope="module", autouse=True)
def _one_network() -> Iterator[None]:
    """The random network is drawn once: it is no file that a fault could meet."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(vggish, "untrained_vggish", cache(vggish.untrained_vggish))
        yield


@pytest.fixture(scope="module", autouse=True)
def _toys() -> Iterator[None]:
    """What `prelabel` asks."""
    with toy_engines(Hears(["dog"]), Sees({}, ("dog", (20.0, 10.0, 70.0, 50.0)))):
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faults")
    size = [
        "--num-clips",
        "1",
        "--seconds",
        str(SECONDS),
        "--size",
        "96x64",
        "--video-fps",
        "6",
        "--seed",
        "3",
        "-j",
        "1",
    ]
    assert main(["synth", *size, "--out", str(root / "world")]) == 0
    for arguments in (
        ["fetch", "--list", str(root / "world" / "videos.csv"), "--allow-local", "--sleep", "0"],
        ["extract", "-j", "1"],
    ):
        assert main(["-C", str(root / "ds"), *arguments]) == 0
    (scene,) = read_scenes(root / "world" / "scenes.json")
    workspace = Workspace(root / "ds")
    write_prelabels(workspace, drawn(scene))
    (root / "set").mkdir()
    write_split(root / "set", "train", ["kept"])
    sample = Sample(workspace, root)
    for name in STAGES.names():
        if name not in ("fetch", "extract"):
            reports = sample.do(name, InlineExecutors(), Selection())
            assert all(report.done for report in reports), f"give the sample an item of the stage {name}"
    return root


def drawn(scene: SceneLabels) -> PreLabels:
    """One object, drawn on the first still that shows it: there is something to carry, also over the source."""
    track, frame, rle = next(
        (track, t, rle) for track in scene.tracks for t in range(SECONDS) if (rle := scene.mask(track, t)) is not None
    )
    spans = (Interval(start_s=0, end_s=1),)
    mask = LabelledMask(
        frame=frame,
        height=rle.height,
        width=rle.width,
        counts=rle.counts,
        origin=MaskOrigin.CLICKED,
        engine="grabcut",
        annotator="ann@example.com",
    )
    labelled = LabelledTrack(
        identity=f"{track.category}_1",
        category=track.category,
        intervals=spans,
        states=states(spans, {frame}, SECONDS),
        masks=(mask,),
    )
    return PreLabels(
        clip_id=scene.clip_id,
        fps=1.0,
        num_frames=SECONDS,
        height=rle.height,
        width=rle.width,
        tracks=(labelled,),
        source="test",
    )


@pytest.fixture
def sample(made: Path, tmp_path: Path) -> Sample:
    shutil.copytree(made / "ds", tmp_path / "ds")
    return Sample(Workspace(tmp_path / "ds"), made)


def check_passes(sample: Sample, name: str, fault: Fault, expected: set[Reason], *, always: bool) -> None:
    """With the fault the stage fails for an expected reason (`always`: it must), and afterwards it heals."""
    sample.undo(name)
    reports = sample.do(name, FaultyExecutors(lambda: fault(sample.workspace)), Selection(force=True))
    failed = {reason for report in reports for reason in report.failed}
    assert failed <= expected, failed
    assert failed or not always, "the fault did not show"
    if not failed:
        return
    healed = sample.do(name, InlineExecutors(), Selection(retry_failed="retryable"))
    assert not any(report.failed or report.failed_before or report.stopped for report in healed)
    assert sum(report.done for report in healed) >= 1


every_stage = pytest.mark.parametrize("name", STAGES.names())


@every_stage
@pytest.mark.parametrize("largest_bytes", [0, 100, 3000])
def test_a_quota(sample: Sample, name: str, largest_bytes: int) -> None:
    check_passes(sample, name, lambda _: quota(largest_bytes), DISK, always=largest_bytes == 0)


@every_stage
def test_too_many_open_files(sample: Sample, name: str) -> None:
    for more in (0, 1, 2, 3, 4, 6):
        check_passes(sample, name, lambda _, more=more: no_more_files(more), FILES, always=more == 0)


@every_stage
def test_a_read_only_folder(sample: Sample, name: str) -> None:
    def fault(workspace: Workspace) -> AbstractContextManager[object]:
        return read_only(workspace.tmp)

    check_passes(sample, name, fault, ACCESS, always=True)


@every_stage
@pytest.mark.parametrize("temporary", [True, False], ids=["the disk of temporary files too", "another disk"])
def test_a_full_disk(made: Path, tmp_path: Path, name: str, temporary: bool) -> None:
    with small_disk(tmp_path / "small", 8000) as disk:
        shutil.copytree(made / "ds", disk / "ds")
        sample = Sample(Workspace(disk / "ds"), made)
        for left_kb in (0, 4, 8, 16, 32, 64, 128):

            def fault(_: Workspace, left_kb: int = left_kb) -> AbstractContextManager[object]:
                return full_disk(disk, left_kb=left_kb, temporary=temporary)

            check_passes(sample, name, fault, DISK, always=left_kb == 0)


@every_stage
def test_a_killed_child(sample: Sample, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way in which ffmpeg is ended by the system or says its word; stages that run none are not disturbed."""
    fake = FakeFfmpeg(tmp_path, monkeypatch)
    silent = [f"kill -{number.value} $$; sleep 5" for number in SIGNALS]
    silent += [f"exit {256 - code}" for code in CODES] + ["exit 137", "exit 143", "exit 255"]
    told = [f'echo "[out#0 @ 0x1] [error] x: {os.strerror(code)}" >&2; exit 1' for code in CODES]
    for end in (*silent, *told):
        check_passes(
            sample,
            name,
            lambda _, end=end: fake(end),
            PASSING,
            always=name in ("extract", "preview", "prelabel", "propagate"),
        )
        if not fake.was_run:
            break  # whatever its end is, nobody sees it
