"""A project of CVAT enters a workspace: frames of the source become stills, and a task with a fault is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.errors import ExitCode
from avis_data.masks.rle import Rle, decode
from avis_data.masks.table import read_masks
from avis_data.paths import Workspace
from avis_data.records import State
from support.fake_workspace import WIDTH_HEIGHT, FakeClip, make_workspace

WIDTH, HEIGHT = WIDTH_HEIGHT
HEAD = """<task><id>{0}</id><name>c{0}.mp4</name><size>4</size><start_frame>5</start_frame><stop_frame>95</stop_frame>
<frame_filter>step=30</frame_filter><original_size><width>{1}</width><height>{2}</height></original_size></task>"""


def box(frame: int, x: int, sounding: str, *, outside: int = 0) -> str:
    said = f'frame="{frame}" keyframe="1" outside="{outside}" occluded="0"'
    place = f'xtl="{x}" ytl="3" xbr="{x + 5}" ybr="9"'
    return f'<box {said} {place}><attribute name="sounding">{sounding}</attribute></box>'


def test_a_project_enters_clip_by_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = [FakeClip(clip_id=f"c{number}", video_id=f"v{number}", num_seconds=4) for number in (1, 2)]
    workspace: Workspace = make_workspace(tmp_path / "w", clips)
    tasks = "".join(HEAD.format(number, WIDTH, HEIGHT) for number in (1, 2))
    good = box(5, 1, "true") + box(65, 7, "false") + box(95, 7, "false", outside=1)
    tracks = f'<track id="0" label="hound" task_id="1">{good}</track>'
    tracks += f'<track id="0" label="hound" task_id="2">{box(5, 7, "loud")}</track>'
    meta = f"<meta><project><tasks>{tasks}</tasks></project></meta>"
    (tmp_path / "annotations.xml").write_text(f"<annotations><version>1.1</version>{meta}{tracks}</annotations>")
    monkeypatch.chdir(workspace.root)
    ended = main(["import", "--format", "cvat", str(tmp_path / "annotations.xml"), "--map", "hound=dog"])
    told = capsys.readouterr()
    assert ended == ExitCode.PARTIAL, told.err
    assert "track[1] (id 0)" in told.out and "must be true or false" in told.out
    ((clip_id, rows),) = read_masks(workspace.masks)
    assert clip_id == "c1" and {row.category for row in rows} == {"dog"}
    assert [(row.frame, row.state) for row in rows] == [(0, State.SOUNDING), (1, State.SOUNDING), (2, State.SILENT)]
    for row, x in zip(rows, (1, 4, 7), strict=True):  # second 1 lies between two key frames
        assert row.counts is not None
        inside_HW = decode(Rle(row.height, row.width, row.counts))
        assert inside_HW[3:9, x : x + 5].all() and inside_HW.sum() == 30
