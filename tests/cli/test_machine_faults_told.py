"""Every command that writes, on a machine that does not let it: it ends in words, and afterwards it works."""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import torch

import avis_data as avis
from avis_data.cli.commands import COMMANDS
from avis_data.cli.main import main
from avis_data.features.vggish import Vggish
from avis_data.pipelines.stages import STAGES
from support.machine_faults import full_disk, no_more_files, quota, read_only, small_disk
from support.small_example import FEW_STEPS, perfect_results

WRITERS = {
    "init": ["-C", "new", "init"],
    "fetch": [
        "fetch",
        "--list",
        "world/videos.csv",
        "--allow-local",
        "--sleep",
        "0",
        "--force",
        "--limit",
        "1",
        "-j",
        "1",
    ],
    "extract": ["extract", "--force", "--limit", "1", "-j", "1"],
    "preview": ["preview", "--force", "--limit", "1", "-j", "1"],
    "embed": ["embed", "--untrained", "--force", "--limit", "1", "-j", "1"],
    "run": ["run", "--untrained", "-j", "1"],
    "import": ["import", "--format", "ytvis", "world/truth.json"],
    "export": ["export", "--split", "1/1/1", "--name", "again", "--force"],
    "propagate": ["propagate", "--force", "--clips", "synth1-0000"],
    "report": ["report", "exports/ytvis", "--out", "report.html"],
    "train-baseline": [
        *("train-baseline", "--config", "avism_tiny", "--data", "exports/ytvis", "--out", "runs/new"),
        *(argument for step in FEW_STEPS for argument in ("--set", step)),
    ],
    "predict": ["predict", "--checkpoint", "runs/tiny", "--data", "exports/ytvis", "--out", "found.json"],
    "visualize": ["visualize", "--data", "exports/ytvis", "--pred", "results.json", "--out", "shown"],
    "evaluate": [
        *("evaluate", "--pred", "results.json", "--truth", "exports/ytvis/test.json", "--out", "figures.json"),
        *("--per-video", "videos.parquet", "--errors", "errors", "-j", "1"),
    ],
    "stress": ["stress", "plan", "--data", "exports/ytvis", "--conditions", "silence", "--out", "stress.json"],
    "weights": ["weights", "add", "vggish.pth", "--as", "vggish"],
    "synth": ["synth", "--num-clips", "1", "--seconds", "1", "--size", "64x64", "--out", "small", "-j", "1"],
}
"""A command line of each command that writes, in a small workspace with its export, predictions and a run."""
OTHERS = {
    "annotate": "writes what a server answers, into files that `avis_data.io` writes",
    "review": "writes what a server answers, into files that `avis_data.io` writes",
    "problems": "its page is written as that of `report`",
    "labels": "needs labels that were pulled from a server; its files are written by `avis_data.io`",
    "convert": "its folder is written and published as that of `export`",
    "prelabel": "a stage as `propagate` is, whose weights are no part of a test; tests/pipelines/stages tries it",
    "agreement": "reads rounds, which need a server; its page is written as that of `report`",
    "datasheet": "its pages are written as that of `report`",
    "diff": "its files are written as the page of `report`",
    "figures": "draws in memory; its folder is written as that of `evaluate --errors`",
    "patch": "its folder is written and published as that of `export`",
    "rebuild": "does what `fetch` and `extract` do; its folder is written as that of `export`",
    "fingerprint": "a stage as `embed` is",
    "duplicates": "its page is written as that of `report`",
    "merge": "its folder is written whole or not at all, as `patch` does; tests/pipelines/merge fills the disk",
    "remove": "tests/pipelines/upkeep ends it before every change of the disk",
    "prune": "removes as `remove` does",
    "rights": "writes a table as `report` writes its page",
    "du": "writes nothing",
    "demo": "does what the commands above do",
    "status": "writes nothing",
    "validate": "writes nothing",
    "stats": "writes nothing",
    "compare": "writes nothing",
    "benchmark-model": "writes nothing",
    "doctor": "writes nothing",
}
WORDS = [os.strerror(code) for code in (errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EMFILE)]
WORDS += ["disk is full", "ledger cannot be", "end before they begin"]
MADE = (
    "new",
    "report.html",
    "runs/new",
    "found.json",
    "shown",
    "figures.json",
    "videos.parquet",
    "errors",
    "small",
    "converted",
    "stress.json",
)


def test_every_command_is_tried_or_says_why_not() -> None:
    assert set(WRITERS) | set(OTHERS) == set(COMMANDS) and not set(WRITERS) & set(OTHERS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told") / "ds"
    export = avis.make_example(folder, clips=3, seconds=2, split="1/1/1")
    (folder / "results.json").write_text(json.dumps(perfect_results(avis.open(export).split("test"))))
    avis.train(export, folder / "runs" / "tiny", config="avism_tiny", settings=FEW_STEPS, device="cpu")
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in Vggish().state_dict().items()}
    # One number stands for all: each test has a copy of this folder, and a whole network is 288 MB.
    torch.save({name: torch.full((1,), 1e-3).expand(shape) for name, shape in shapes.items()}, folder / "vggish.pth")
    return folder


@pytest.fixture
def workspace(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return entered(made, tmp_path / "ds", monkeypatch)


def entered(made: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, folder)
    monkeypatch.setenv("AVIS_DATA_HOME", str(folder / "home"))
    monkeypatch.chdir(folder)
    return folder


def check_told(
    name: str, fault: AbstractContextManager[object], capsys: pytest.CaptureFixture[str], *, always: bool
) -> None:
    """With the fault: no traceback (it would get out of `main`), an exit code that is no bug's, and words."""
    folder = Path.cwd()
    capsys.readouterr()
    with fault:
        code = main(WRITERS[name])
    os.chdir(folder)
    told = capsys.readouterr()
    assert code != 1 and (code != 0 or not always), (code, told.err)
    assert "Traceback" not in told.err, told.err
    if code:
        assert any(word in told.err + told.out for word in WORDS), told.err + told.out
    for path in map(Path, MADE):
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)


def check_works(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path.cwd()
    code = main(WRITERS[name] + ["--retry-failed"] * (name in ("run", "preview")))
    os.chdir(folder)
    assert code == 0, capsys.readouterr().err


def test_a_file_that_the_machine_does_not_give_is_not_called_damaged(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    monkeypatch.setattr("avis_data.masks.table.pq.ParquetFile", refuse)
    assert main(["export", "--split", "1/1/1", "--name", "again", "--force"]) == 5
    told = capsys.readouterr().err
    assert "it is not the file" in told and "ulimit -n" in told and "import or annotate again" not in told


every_writer = pytest.mark.parametrize("name", WRITERS)


@every_writer
@pytest.mark.usefixtures("workspace")
def test_a_quota_and_too_many_open_files(capsys: pytest.CaptureFixture[str], name: str) -> None:
    for largest_bytes in (0, 2000):
        check_told(name, quota(largest_bytes), capsys, always=largest_bytes == 0 and name != "run")
    for more in (0, 5):
        check_told(name, no_more_files(more), capsys, always=more == 0)
    check_works(name, capsys)


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in STAGES.names()])  # those are tried alone
def test_a_full_disk_and_one_for_reading_only(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with small_disk(tmp_path / "disk", 60_000) as disk:
        workspace = entered(made, disk / "ds", monkeypatch)
        try:
            check_told(name, full_disk(disk, left_kb=0, temporary=True), capsys, always=name != "run")
            check_told(name, read_only(workspace), capsys, always=True)
            check_works(name, capsys)
        finally:
            os.chdir(tmp_path)
