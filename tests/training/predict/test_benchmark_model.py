"""What benchmark-model says of a model, and the latency of streams."""

from __future__ import annotations

import json
import math

import pytest

from avis_data.errors import ConfigError
from avis_data.training.config import load_config
from avis_data.training.predict.benchmark import BenchmarkRequest, benchmark_model, latency_s
from avis_data.training.registry import build_model
from support.tiny_rcf import TINY_RUN
from support.tiny_training import TINY, in_process


@pytest.mark.parametrize(("fps", "seconds"), [(23.9, 0.2085), (9.0, 0.278), (5.3, 0.355)])
def test_latency_of_online_models_is_that_of_the_paper(fps: float, seconds: float) -> None:
    assert latency_s(6.0, fps) == pytest.approx(seconds, abs=5e-4)


def test_latency_of_a_clip_based_model_is_that_of_all_its_frames() -> None:
    assert latency_s(6.0, 89.4, clip_frames=36) == pytest.approx(6.40, abs=5e-3)


@pytest.mark.parametrize(
    ("name", "settings", "online"),
    [
        ("rcf_tiny", TINY_RUN, True),
        ("avism_tiny", TINY, False),
        ("avism_tiny", (*TINY, "predict.online=true"), True),
        ("afcv_tiny", (), True),
        ("avs_bg_tiny", (), False),
        ("avs_bg_tiny", ("predict.online=true",), False),
    ],
)
def test_every_model_is_measured(
    name: str, settings: tuple[str, ...], online: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [part for setting in settings for part in ("--set", setting)]
    ran = in_process(
        capsys, "benchmark-model", "--config", name, "--num-frames", 3, "--size", "96x64", "--repeats", 1,
        "--device", "cpu", "--stream-fps", 2, "--json", *options,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    model = build_model(load_config(name, list(settings)))
    assert found["parameters"] == sum(math.prod(parameter.shape) for parameter in model.parameters())
    assert found["online"] is online and found["fps"] > 0 and found["peak_memory_mb"] > 50
    frames = 1 if online else 3
    assert found["latency_s"] == pytest.approx(frames * (0.5 + 1 / found["fps"]))


def test_text_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    options = [part for setting in TINY_RUN for part in ("--set", setting)]
    ran = in_process(
        capsys,
        "benchmark-model",
        "--config",
        "rcf_tiny",
        "--num-frames",
        1,
        "--size",
        "96x64",
        "--repeats",
        1,
        *options,
    )
    assert ran.code == 0 and "rcf: online, 96x64, fp32" in ran.out and "latency" in ran.out
    assert "parameters (" in ran.out and " MiB)" in ran.out


def test_one_of_config_and_weights(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match=r"--config NAME .or --model NAME. or --checkpoint RUN"):
        benchmark_model(BenchmarkRequest())
    ran = in_process(capsys, "benchmark-model", "--config", "rcf_tiny", "--size", "640")
    assert ran.code == 2 and "WIDTHxHEIGHT" in ran.err


@pytest.mark.parametrize(
    ("config", "settings", "alone", "with_vggish"),
    [
        ("avism_r50", (), 252.0456, 527.3054),  # 527.3 in the paper's table
        ("avism_r50", ("model.frame_fusion=false", "model.video_fusion=false"), None, None),  # VITA hears nothing
        ("avism_tiny", (), None, None),  # hears log-mel figures
        ("rcf_r50_audio", (), None, "without the last layer"),
    ],
)
def test_parameters_are_told_in_mib_with_and_without_vggish(
    config: str, settings: tuple[str, ...], alone: float | None, with_vggish: float | str | None
) -> None:
    request = BenchmarkRequest(
        config_name=config,
        settings=(*settings, "data.test_short=32", "data.test_long=32"),
        num_frames=1,
        size_hw=(32, 32),
        repeats=1,
        device_name="cpu",
    )
    found = benchmark_model(request)
    assert found.parameters_mib == pytest.approx(found.parameters * 4 / 1024 / 1024)
    if alone is not None:
        assert found.parameters_mib == pytest.approx(alone, abs=1e-3)
    if with_vggish == "without the last layer":
        vggish = sum(math.prod(shape) for name, shape in VGGISH_SHAPES if name != "last")
        assert found.parameters_with_vggish_mib == pytest.approx((found.parameters + vggish) / 2**18)
    else:
        assert found.parameters_with_vggish_mib == (with_vggish and pytest.approx(with_vggish, abs=1e-3))


CONVS = [(1, 64), (64, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
VGGISH_SHAPES = [
    *((f"conv {n}", (out, into, 3, 3)) for n, (into, out) in enumerate(CONVS)),
    *((f"bias {n}", (out,)) for n, (_, out) in enumerate(CONVS)),
    *(("fc 1", (12288, 4096)), ("bias", (4096,)), ("fc 2", (4096, 4096)), ("bias", (4096,))),
    *(("last", (4096, 128)), ("last", (128,))),
]
