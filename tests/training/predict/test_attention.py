"""`avis-data visualize --attention`: maps from outside that change nothing, against attention computed anew."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from avis_data.training.data.clips import TensorClip
from avis_data.training.models.attention import Attention
from avis_data.training.models.avs_bg.frames import ClipFrames
from avis_data.training.models.avs_bg.spec import SPEC as AVS_BG
from avis_data.training.models.rcf.config import SlotOptions
from avis_data.training.models.rcf.spec import SPEC as RCF
from support.tiny_avs import AUDIO as AVS_AUDIO
from support.tiny_avs import tiny_avs
from support.tiny_rcf import AUDIO, TINY_RUN, tiny_model
from support.tiny_training import in_process


def clip_of(audio_width: int, *, frames: int = 3, size: tuple[int, int] = (50, 70), deaf: bool = False) -> TensorClip:
    rng = torch.Generator().manual_seed(4)
    return TensorClip(
        clip_id="a",
        frames_T3HW=torch.randint(0, 256, (frames, 3, *size), generator=rng, dtype=torch.uint8),
        audio_TA=None if deaf else torch.rand(frames, audio_width, generator=rng),
        size_hw=size,
    )


def test_weights_are_those_by_which_values_are_added_up() -> None:
    torch.manual_seed(0)
    attention = Attention(8, 2).eval()
    query, key, value = torch.rand(1, 3, 8), torch.rand(1, 5, 8), torch.rand(1, 5, 8)
    visible = torch.tensor([True, True, False, True, True])[None, None]
    official = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    official.load_state_dict(attention.state_dict())
    _, wanted = official(query, key, value, key_padding_mask=~visible[0], average_attn_weights=False)
    torch.testing.assert_close(attention.weights(query, key, visible), wanted)


@pytest.mark.parametrize("fusion", ["reference_tokens", "full_encoder", "full_decoder"])
@pytest.mark.parametrize("deaf", [False, True])
def test_looking_at_rcf_changes_nothing_and_all_attention_is_told(fusion: str, deaf: bool) -> None:
    model = tiny_model(audio=True, references=2, fusion=fusion, slots=SlotOptions(least_score=0.0)).eval()
    clip = clip_of(AUDIO, deaf=deaf)
    before = model.predict(clip)
    frames = list(RCF.attention(model, clip)) if RCF.attention else []
    assert model.predict(clip) == before and not any(module._forward_pre_hooks for module in model.modules())
    assert len(frames) == clip.num_frames
    for frame in frames:
        titles = [one.title for one in frame.maps]
        assert (titles[:2] == ["sound to picture", "picture to sound"]) is not deaf
        assert [int(title.split()[1]) for title in titles if title.startswith("slot")] == [
            fired.slot for fired in frame.fired
        ]
        for one in frame.maps:
            assert one.values_Mhw.shape == (4, 2, 3) and (one.values_Mhw >= 0).all()
            if one.title.startswith("slot"):
                elsewhere = [int(part.split()[-2]) for part in one.note.split(",")]
                assert sum(elsewhere) == pytest.approx(100 * (1 - one.values_Mhw.sum((1, 2)).mean()), abs=1.1)
                assert (elsewhere[1] == 0) is deaf
        assert frame.on_frame(frame.maps[-1].values_Mhw[0]).shape == (50, 70)


def test_rcf_maps_are_the_attention_of_an_official_layer() -> None:
    """The last encoder layer of the first frame, computed anew by PyTorch's own attention."""
    model = tiny_model(audio=True, references=1).eval()
    clip = clip_of(AUDIO, frames=1)
    seen: list[tuple[torch.Tensor, ...]] = []
    layer = model.network.encoder.attention[-1].attention
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    assert RCF.attention is not None
    (frame,) = RCF.attention(model, clip)
    handle.remove()
    query, key, value, visible = seen[0]
    official = torch.nn.MultiheadAttention(32, 4, batch_first=True)
    official.load_state_dict(layer.state_dict())
    with torch.no_grad():
        _, weights = official(query, key, value, key_padding_mask=~visible[:, 0], average_attn_weights=False)
    to_picture, to_sound = frame.maps[0].values_Mhw, frame.maps[1].values_Mhw
    # 2 x 3 cells, 4 reference tokens, then the sound of the reference and of the frame.
    np.testing.assert_allclose(to_picture, weights[0, :, -1, :6].unflatten(1, (2, 3)), atol=1e-6)
    np.testing.assert_allclose(to_sound, weights[0, :, :6, -2:].sum(2).unflatten(1, (2, 3)), atol=1e-6)


def test_looking_at_avs_bg_changes_nothing_and_gives_its_gates() -> None:
    model = tiny_avs("av_corr").eval()
    clip = clip_of(AVS_AUDIO, size=(64, 64))
    before = model.predict(clip)
    assert AVS_BG.attention is not None
    frames = list(AVS_BG.attention(model, clip))
    np.testing.assert_array_equal(model.predict(clip), before)
    assert not any(module._forward_hooks for module in model.modules())
    titles = [f"{kind}, stride {stride}" for kind in ("sound", "motion") for stride in (4, 8, 16, 32)]
    assert [[one.title for one in frame.maps] for frame in frames] == [titles] * 3
    with torch.no_grad():
        maps = model._maps(clip.frames_T3HW, clip.audio_TA, ClipFrames((3,)), None)
    for stage in range(4):
        sound = torch.tensor(np.stack([frame.maps[stage].values_Mhw for frame in frames]))
        motion = torch.tensor(np.stack([frame.maps[4 + stage].values_Mhw for frame in frames]))
        # What a gate lets through is the input times (1 + gate); a fused cell is of unit length times that.
        torch.testing.assert_close(maps.fused[stage].norm(dim=1, keepdim=True), 1 + sound, atol=2e-3, rtol=0)
        torch.testing.assert_close(maps.moved[stage], maps.fused[stage] * (1 + motion))


def test_tpavi_gives_how_well_cells_fit_the_sound_of_their_frame() -> None:
    model = tiny_avs("tpavi").eval()
    clip = clip_of(AVS_AUDIO, size=(64, 64))
    assert AVS_BG.attention is not None
    frames = list(AVS_BG.attention(model, clip))
    fusion = model.head.fusion[3]
    with torch.no_grad():
        maps = model._maps(clip.frames_T3HW, clip.audio_TA, ClipFrames((3,)), None)
        theta, phi = fusion.theta(maps.neck[3]), fusion.phi(fusion.align(clip.audio_TA))
    for place, frame in enumerate(frames):
        assert [one.title for one in frame.maps] == [f"sound, stride {stride}" for stride in (4, 8, 16, 32)]
        for y, x in np.ndindex(2, 2):
            wanted = max(0.0, float((theta[place, :, y, x] * phi[place]).sum()))
            assert frame.maps[3].values_Mhw[0, y, x] == pytest.approx(wanted, abs=1e-5)


def test_sheets_and_a_table_of_slots_are_written(
    world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [word for setting in (*TINY_RUN, "model.slots.least_score=0.0") for word in ("--set", setting)]
    given = ("visualize", "--attention", "--data", world_export, "--device", "cpu", "--config", "rcf_tiny", *settings)
    ran = in_process(capsys, *given, "--out", tmp_path / "looked", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["trained"] is False
    sheets = [Path(file) for file in ran.json["files"] if file.endswith(".png")]
    assert len(sheets) == 4 and {sheet.name.rpartition("-")[2] for sheet in sheets} == {"attention.png", "heads.png"}
    for sheet in sheets:
        with Image.open(sheet) as picture:
            assert picture.width >= 600 and len(picture.convert("RGB").getcolors(1 << 22) or ()) > 100
    with (tmp_path / "looked" / "fired_slots.csv").open() as file:
        header, *rows = csv.reader(file)
    assert header == ["category", "slot_0", "slot_1", "slot_2", "slot_3"]
    assert {name: list(map(int, counts)) for name, *counts in rows} == ran.json["fired_slots"]
    # Every slot fires where a score of 0 is enough, but where its mask is empty.
    assert 0 < sum(int(count) for _, *counts in rows for count in counts) <= 4 * ran.json["num_frames"]
    text = in_process(capsys, *given, "--out", tmp_path / "again")
    assert "weights are random" in text.out and "slot that fired, of" in text.out
    nobody = in_process(capsys, *given, "--out", tmp_path / "again", "--clips", "nobody")
    assert nobody.code == 3 and "has no clip nobody" in nobody.err


def test_a_run_is_trained_and_a_bad_clip_stops_no_other(
    world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = shutil.copytree(world_export, tmp_path / "data")
    settings = [word for setting in TINY_RUN for word in ("--set", setting)]
    run = tmp_path / "run"
    trained = in_process(
        capsys, "train-baseline", "--data", data, "--config", "rcf_tiny", "--out", run, "--device", "cpu", *settings
    )
    assert trained.code == 0, trained.err
    first = sorted((data / "test" / "JPEGImages").iterdir())[0]
    sorted(first.iterdir())[1].write_bytes(b"no picture")
    ran = in_process(
        capsys, "visualize", "--attention", "--checkpoint", run, "--data", data, "--out", tmp_path / "looked"
    )
    assert ran.code == 3 and "no picture" in ran.err and "1 of 2 clips are in" in ran.err
    assert len(list((tmp_path / "looked").glob("*-attention.png"))) == 1
    other = in_process(
        capsys, "visualize", "--attention", "--checkpoint", run, "--data", data, "--out", tmp_path / "one", "--json",
        "--clips", next(path.name for path in (data / "test" / "JPEGImages").iterdir() if path != first),
    )  # fmt: skip
    assert other.code == 0 and other.json["trained"] is True


def test_what_does_not_go_together_is_said(
    world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("visualize", "--data", world_export, "--out", tmp_path / "shown")
    assert "--attention needs a model" in in_process(capsys, *given, "--attention").err
    none = in_process(capsys, *given, "--attention", "--config", "afcv_tiny")
    assert none.code == 2 and "afcv has no maps of where it looks; those that have: rcf, avs-bg" in none.err
    assert "is of a model" in in_process(capsys, *given, "--attention", "--pred", "results.json").err
    assert "go with --attention" in in_process(capsys, *given, "--pred", "x.json", "--config", "rcf_tiny").err
    assert "give predictions to show" in in_process(capsys, *given).err
