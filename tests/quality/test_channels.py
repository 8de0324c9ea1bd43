"""`avis-data stats --channels`: how different left and right are, against values by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avis_data.cli.main import main
from avis_data.quality.channels import channel_differences
from support.ytvis_world import truth

RATE = 16_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "train.json").write_text(json.dumps(truth(["alpha", "beta"])))
    folder = tmp_path / "train" / "WAVAudios"
    folder.mkdir(parents=True)
    tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE)).astype(np.float32)
    sounds = {
        "left": np.stack((tone, 0 * tone), axis=1),
        "nearly": np.stack((tone, 0.5 * tone), axis=1),
        "same": np.stack((tone, tone), axis=1),
        "mono": tone[:, None],
    }
    for name, samples_NC in sounds.items():
        soundfile.write(folder / f"{name}.wav", samples_NC, RATE, subtype="PCM_16")
    (folder / "broken.wav").write_bytes(b"RIFF")
    return tmp_path


def test_each_clip_has_its_difference(root: Path) -> None:
    """Half as loud on the right: the difference is 1/2, the sum 3/2, which is 20 log10 (1/3) dB."""
    found = channel_differences(root)["train"]
    assert found["left"] == 0.0 and found["nearly"] == pytest.approx(-9.5, abs=0.05)
    assert found["same"] == "the same" and found["mono"] == "one channel"
    assert str(found["broken"]).startswith("cannot be read")


def test_the_command_shows_the_most_different_first(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", str(root), "--channels"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "train: 2 of 5 sounds have two channels that differ, median -4.8 dB"
    assert [line.split()[1] for line in lines[3:5]] == ["left", "nearly"]
    assert main(["stats", str(root), "--channels", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["train"]["left"] == 0.0
