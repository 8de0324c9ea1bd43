"""NaN and infinity in any file that training, prediction and export read end in an error that names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from avis_data.errors import DataError
from avis_data.features.store import bucket, part_name, read_embeddings, write_part
from avis_data.training.data.audio_features import NpyRows
from avis_data.training.data.audio_sound import read_sound
from avis_data.training.data.avsbench_sound import _examples_of
from avis_data.training.data.frame_times import FrameTimes
from avis_data.weights.files import read_tensors
from support.tiny_training import TINY, in_process

TIMES = FrameTimes(fps=1, instants_s=(0.5, 1.5, 2.5))
BAD = [np.nan, np.inf, -np.inf]


def spoilt(shape: tuple[int, ...], value: float) -> np.ndarray:
    """Zeros with one such value, in the last row."""
    values = np.zeros(shape, np.float32)
    values.reshape(len(values), -1)[-1, -1] = value
    return values


def npy_rows(folder: Path, value: float) -> None:
    path = folder / "a.npy"
    np.save(path, spoilt((3, 128), value))
    rows = NpyRows(folder="FEATAudios", width=128, hint="avis-data embed")
    rows.read(path, [0, 1], TIMES)  # rows that nobody asks for do no harm
    rows.read(path, [0, 2], TIMES)


def wav(folder: Path, value: float) -> None:
    soundfile.write(folder / "a.wav", spoilt((16000,), value), 16000, subtype="FLOAT")
    read_sound(folder / "a.wav")


def log_mel_examples(folder: Path, value: float) -> None:
    np.save(folder / "a.npy", spoilt((5, 96, 64), value))
    _examples_of(folder / "a.npy")


def parquet(folder: Path, value: float) -> None:
    clips = [("a", spoilt((3, 128), value))]
    path = folder / part_name(bucket("a"))
    write_part(path, clips, weights_sha256="0" * 64, front_end="official", window_s=0.96)
    list(read_embeddings(folder))


def weights(folder: Path, value: float) -> None:
    save_file({"layer.weight": torch.from_numpy(spoilt((3, 4), value))}, folder / "a.safetensors")
    read_tensors(folder / "a.safetensors")


@pytest.mark.parametrize("value", BAD, ids=str)
@pytest.mark.parametrize("read", [npy_rows, wav, log_mel_examples, parquet])
def test_what_is_no_number_is_told(tmp_path: Path, read: Callable[[Path, float], None], value: float) -> None:
    with pytest.raises(DataError, match=r"(a\.npy|a\.wav|part-\w+\.parquet): .* are NaN or infinite, first in row \d+"):
        read(tmp_path, value)


def test_weights_with_nan_are_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.safetensors: 1 tensor\(s\) hold NaN, the first is layer\.weight"):
        weights(tmp_path, np.nan)
    weights(tmp_path, np.inf)  # masks of attention are


def test_predict_does_not_answer_nothing_from_nan(
    export_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*TINY, "data.audio=vggish", "model.audio_channels=128", "loop.iterations=1", "validation.every=0"]
    options = [part for setting in settings for part in ("--set", setting)]
    run = tmp_path / "run"
    trained = in_process(
        capsys, "train-baseline", "--data", export_copy, "--config", "avism_tiny", "--out", run, *options
    )
    assert trained.code == 0, trained.err
    path = next((export_copy / "test" / "FEATAudios").glob("*.npy"))
    np.save(path, spoilt(np.load(path).shape, np.nan))
    ran = in_process(capsys, "predict", "--checkpoint", run, "--data", export_copy, "--out", tmp_path / "results.json")
    assert ran.code == 3 and path.name in ran.err and "NaN" in ran.err and "Traceback" not in ran.err
    assert not (tmp_path / "results.json").exists()
