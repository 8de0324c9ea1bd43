"""Models under other sounds: a deaf one loses nothing at all, one that hears changes its mind; runs go on."""

from __future__ import annotations

import json
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from safetensors.torch import save_file

from avis_data.errors import BusyError, ConfigError, DataError
from avis_data.formats.ytvis import YtvisVideo
from avis_data.pipelines.engine.stage import Workbench
from avis_data.pipelines.stages.embed import EmbedParams, EmbedRequest, EmbedStage
from avis_data.recipe import front_end_of
from avis_data.stress.clips import HeardClip
from avis_data.stress.making import embedding_of
from avis_data.stress.plan import Given, StressPlan, make_plan, write_plan
from avis_data.stress.scoring import score_model
from avis_data.stress.waves import read_wave, shifted, write_wave
from avis_data.training.checkpoints.trained import weights_metadata
from avis_data.training.config import config_values, load_config
from avis_data.training.predict.predict import PredictRequest
from avis_data.training.predict.stress import StressedModel, predict_stressed
from avis_data.training.registry import build_model
from avis_data.weights import resolve_vggish
from support import tiny_afcv, tiny_rcf
from support.tiny_training import TINY, in_process

WANTED = ("silence", "noise-0db", "shift-1s")
FORMS = {
    "avism_tiny": (TINY, ("model.frame_fusion=false", "model.video_fusion=false")),
    "rcf_tiny": (tiny_rcf.TINY_RUN, ("model.audio=false",)),
    "afcv_tiny": ((*tiny_afcv.TINY_RUN, "model.num_identities=9"), ("model.audio=false",)),
}
"""Config -> its tiny form, and what makes it deaf."""
ANY_SCORE = {
    "avism_tiny": ("predict.score_threshold=0.0", "predict.top_k=3"),
    "rcf_tiny": ("model.slots.least_score=0",),
    "afcv_tiny": (
        "model.detection.least_score=0.0",
        "model.detection.per_frame=4",
        "model.audio_mean=0",
        "model.audio_deviation=1",
    ),
}


@pytest.fixture(scope="module")
def plan(world_export: Path) -> StressPlan:
    return make_plan(Given(data=world_export), conditions=WANTED)


def weights_of(config_name: str, settings: Sequence[str], folder: Path) -> Path:
    """Random weights, the same each time."""
    config = load_config(config_name, [*FORMS[config_name][0], *ANY_SCORE[config_name], *settings])
    torch.manual_seed(3)
    model = build_model(config)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1 and "norm" not in name:  # biases start at zero, and masks without a pixel
            torch.nn.init.normal_(parameter, std=0.5)
        elif (
            parameter.dim() > 1 and config_name == "afcv_tiny"
        ):  # whose heads start so small that a sound is rounded off
            torch.nn.init.xavier_normal_(parameter)
    path = folder / "weights.safetensors"
    tensors = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(tensors, path, metadata=weights_metadata(config))
    return path


def ran(weights: Path, plan: StressPlan, data: Path, out: Path) -> list[str]:
    model = StressedModel(request=PredictRequest(weights=weights, data=data, device_name="cpu"))
    return predict_stressed(model, plan, Given(data=data), out, conditions=plan.conditions)


@pytest.mark.parametrize("config_name", FORMS)
def test_a_deaf_form_loses_nothing(config_name: str, plan: StressPlan, world_export: Path, tmp_path: Path) -> None:
    weights = weights_of(config_name, FORMS[config_name][1], tmp_path)
    assert ran(weights, plan, world_export, tmp_path / "out") == ["true", *WANTED]
    assert json.loads((tmp_path / "out" / "true.json").read_text()), "it marks something"
    found = score_model(plan, world_export / "test.json", tmp_path / "out", name="deaf", num_draws=50)
    assert found.reliance is not None and found.reliance.interval is not None
    assert (found.reliance.value, found.reliance.interval.low, found.reliance.interval.high) == (0.0, 0.0, 0.0)
    assert all(d and d.difference == 0 for score in found.conditions for d in score.reliance.values())


@pytest.mark.parametrize("config_name", FORMS)
def test_a_form_that_hears_says_something_else(
    config_name: str, plan: StressPlan, world_export: Path, tmp_path: Path
) -> None:
    ran(weights_of(config_name, (), tmp_path), plan, world_export, tmp_path / "out")
    said = {name: (tmp_path / "out" / f"{name}.json").read_text() for name in ("true", *WANTED)}
    assert json.loads(said["true"]) and len(set(said.values())) == 4


def test_a_killed_run_goes_on_and_another_model_is_refused(
    plan: StressPlan, world_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from avis_data.training.predict import stress

    weights, out = weights_of("avism_tiny", (), tmp_path), tmp_path / "out"
    predict, asked = stress.predict, []

    def killed(request: PredictRequest, target: Path) -> object:
        asked.append(target.stem)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return predict(request, target)

    with monkeypatch.context() as patched:
        patched.setattr(stress, "predict", killed)
        with pytest.raises(KeyboardInterrupt):
            ran(weights, plan, world_export, out)
    assert sorted(path.name for path in out.glob("*.json")) == ["made_with.json", "silence.json", "true.json"]
    assert not list(out.glob(".part-*"))
    before = (out / "true.json").stat().st_mtime_ns
    (out / ".part-left").mkdir()
    assert ran(weights, plan, world_export, out) == ["true", *WANTED]
    assert (out / "true.json").stat().st_mtime_ns == before
    assert sorted(path.stem for path in out.glob("*.json")) == sorted(["made_with", "true", *WANTED])
    assert not list(out.glob(".part-*"))
    with FileLock(out / ".lock"), pytest.raises(BusyError, match="another"):
        ran(weights, plan, world_export, out)
    (tmp_path / "other").mkdir()
    other = weights_of("avism_tiny", FORMS["avism_tiny"][1], tmp_path / "other")
    with pytest.raises(ConfigError, match="another model"):
        ran(other, plan, world_export, out)
    config = load_config("avism_tiny", [*TINY, *ANY_SCORE["avism_tiny"], "predict.top_k=2"])
    (tmp_path / "other.yaml").write_text(json.dumps(config_values(config)))
    request = PredictRequest(
        weights=weights, config_name=str(tmp_path / "other.yaml"), data=world_export, device_name="cpu"
    )
    with pytest.raises(ConfigError, match="config"):
        predict_stressed(StressedModel(request=request), plan, Given(data=world_export), out, conditions=[])
    with pytest.raises(ConfigError, match="not empty"):
        ran(weights, plan, world_export, tmp_path)


def test_the_command_says_what_it_did_and_refuses_models_of_masks(
    plan: StressPlan, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = weights_of("avism_tiny", (), tmp_path)
    write_plan(tmp_path / "stress.json", plan)
    asked = ["stress", "run", tmp_path / "stress.json", "--data", world_export, "--device", "cpu", "--checkpoint"]
    few = ["--conditions", "silence", "--json"]
    found = in_process(capsys, *asked, weights, "--out", tmp_path / "out", *few)
    assert found.code == 0 and found.json["results"] == ["true", "silence"] and "silence: predicted" in found.err
    again = in_process(capsys, *asked, weights, "--out", tmp_path / "out", *few)
    assert again.code == 0 and "silence: there already" in again.err
    config = load_config("avs_bg_tiny", [])
    save_file(
        {name: tensor.contiguous().clone() for name, tensor in build_model(config).state_dict().items()},
        tmp_path / "masks.safetensors",
        metadata=weights_metadata(config),
    )
    masks = in_process(capsys, *asked, tmp_path / "masks.safetensors", "--out", tmp_path / "masks")
    assert masks.code == 3 and "models of tracks" in masks.err
    useless = in_process(capsys, *asked, weights, "--out", tmp_path / "useless", "--untrained")
    assert useless.code == 2 and "needs no VGGish" in useless.err
    vggish = weights_of("avism_tiny", ("data.audio=vggish",), tmp_path)
    nobody = in_process(capsys, *asked, vggish, "--weights", tmp_path / "none.pth", "--out", tmp_path / "vggish")
    assert nobody.code == 3 and "none.pth" in nobody.err


def test_embeddings_of_another_network_than_the_exports_are_refused(
    plan: StressPlan, export_copy: Path, tmp_path: Path
) -> None:
    weights = weights_of("avism_tiny", ("data.audio=vggish",), tmp_path)
    (export_copy / "certificate.json").write_text(json.dumps({"embeddings": {"weights_sha256": "a" * 64}}))
    request = PredictRequest(weights=weights, data=export_copy, device_name="cpu")
    with pytest.raises(DataError, match="other VGGish weights"):
        predict_stressed(
            StressedModel(request=request, untrained=True),
            plan,
            Given(data=export_copy),
            tmp_path / "out",
            conditions=plan.conditions,
        )


@pytest.mark.parametrize(("fps", "num_frames"), [(1.0, 3), (2.5, 7)])
def test_embeddings_are_those_of_the_stage(fps: float, num_frames: int, tmp_path: Path) -> None:
    """At a still a second of each second, at other rates of the sound before each still."""
    samples = np.random.default_rng(0).integers(-9000, 9000, 3 * 16_000).astype("<i2")
    with wave.open(str(tmp_path / "own.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, len(samples), "NONE", "not compressed"))
        file.writeframes(samples.tobytes())
    late = shifted(read_wave(tmp_path / "own.wav"), seconds=1)
    write_wave(tmp_path / "a.wav", late)
    weights = resolve_vggish(None, untrained=True)
    stage = EmbedStage(EmbedParams(weights_sha256=weights[1], front_end=front_end_of(fps)), weights[0])
    request = EmbedRequest(clip_id="a", num_seconds=3, fps=fps, num_frames=num_frames, frame_at=None)
    stage.run(
        Workbench(item_id="a", record=request, inputs={"audio": tmp_path / "a.wav"}, out=tmp_path, scratch=tmp_path)
    )
    files = tuple(f"a/{number}.jpg" for number in range(num_frames))
    video = YtvisVideo(video_id=1, name="a", width=8, height=8, length=num_frames, file_names=files, fps=fps)
    clip = HeardClip(name="a", video=video, sound=tmp_path / "a.wav", tracks=())
    found_TD = embedding_of(weights).rows(late, clip)
    assert found_TD.shape == (num_frames, 128) and found_TD.any()
    assert np.array_equal(found_TD, np.load(tmp_path / "a.npy"))
