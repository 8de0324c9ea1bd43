"""The stage `fingerprint` in a workspace: made, resumed, made anew where a clip changed; torn inputs have a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from avis_data.errors import DataError, ItemError, Reason
from avis_data.fingerprints.making import Fingerprint
from avis_data.fingerprints.store import read_fingerprints, write_fingerprints
from avis_data.pipelines.engine.stage import Workbench
from avis_data.pipelines.stages.fingerprint import FingerprintRequest, FingerprintStage
from support.fake_workspace import FakeClip, make_workspace
from support.shell import avis_data

CLIPS = [FakeClip(clip_id=name, video_id=f"v_{name}", num_seconds=3) for name in ("a", "b", "c")]


def bench(folder: Path, clip: Path) -> Workbench:
    out = folder / "out"
    out.mkdir()
    record = FingerprintRequest(clip_id="a", fps=1, num_frames=3, num_seconds=3)
    inputs = {"frames": clip / "frames", "audio": clip / "audio.wav"}
    return Workbench(item_id="a", record=record, inputs=inputs, out=out, scratch=folder)


def test_every_clip_has_a_row_and_a_second_run_does_nothing(tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "ws", CLIPS)
    assert avis_data("-C", workspace.root, "fingerprint", "--workers", 1).code == 0
    prints = list(read_fingerprints(workspace.fingerprints))
    assert sorted((one.clip_id, one.stills_THW.shape, one.period_s) for one in prints) == [
        (name, (3, 32, 32), 1.0) for name in ("a", "b", "c")
    ]
    assert all(one.sound_NB.shape[1] == 32 and len(one.sound_NB) == 28 for one in prints)
    before = {path: path.read_bytes() for path in workspace.fingerprints.glob("part-*.parquet")}
    again = avis_data("-C", workspace.root, "fingerprint", "--workers", 1, "--json")
    assert again.code == 0 and '"done": 0' in again.out
    (workspace.fingerprints / "clips" / "a.npz").unlink()
    assert avis_data("-C", workspace.root, "fingerprint", "--workers", 2).code == 0
    assert {path: path.read_bytes() for path in workspace.fingerprints.glob("part-*.parquet")} == before


@pytest.mark.parametrize("fault", ["no still", "torn still", "no sound", "torn sound", "three channels", "fast"])
def test_torn_input_is_a_failure_of_that_clip(tmp_path: Path, fault: str) -> None:
    clip = make_workspace(tmp_path / "ws", CLIPS[:1]).clip_dir("a")
    still, wav = clip / "frames" / "00001.jpg", clip / "audio.wav"
    if fault == "no still":
        still.unlink()
    elif fault == "torn still":
        still.write_bytes(still.read_bytes()[:300])
    elif fault == "no sound":
        wav.unlink()
    elif fault == "torn sound":
        wav.write_bytes(b"RIFF")
    else:
        three = np.zeros((48000, 3))
        soundfile.write(wav, *((three, 16000) if fault == "three channels" else (np.zeros(48000), 8000)))
    with pytest.raises(ItemError) as caught:
        FingerprintStage().run(bench(tmp_path, clip))
    assert caught.value.reason is Reason.TORN_INPUT and not list((tmp_path / "out").iterdir())


def test_a_table_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    one = Fingerprint(
        clip_id="a",
        period_s=1.0,
        stills_THW=np.zeros((2, 32, 32), dtype=np.uint8),
        sound_NB=np.zeros((0, 32), dtype=np.uint8),
    )
    part = tmp_path / "part-a.parquet"
    assert write_fingerprints(part, [one]) == 1
    (back,) = read_fingerprints(tmp_path)
    np.testing.assert_array_equal(back.stills_THW, one.stills_THW)
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        list(read_fingerprints(tmp_path))
    with pytest.raises(ValueError, match="ascend"):
        write_fingerprints(part, [one, one])
