"""Every row of the papers is a config with settings: its network is built at full size and takes its input.

All of it is on PyTorch's meta device, which knows shapes and no values.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from avis_data.training.config import RunConfig, load_config
from avis_data.training.models.afcv.model import Afcv
from avis_data.training.models.avs_bg.frames import ClipFrames
from avis_data.training.models.avs_bg.model import AvsBg
from avis_data.training.models.rcf.model import Rcf
from avis_data.training.models.rcf.network import Heard
from avis_data.training.registry import build_model

HEARS = "model.audio=true model.references=3 model.num_classes=20"
R101 = "model.backbone={depths:[3,4,23,3]}"
RCF = [
    "rcf_r101",
    "rcf_swinb",
    "rcf_swinl",
    *(f"rcf_r101 model.references={delta}" for delta in (0, 2, 3, 4, 5)),
    *(f"rcf_r101 model.fusion={fusion}" for fusion in ("full_encoder", "full_decoder")),
    *(f"rcf_r101 model.reference_tokens={tokens}" for tokens in (1, 16, 64)),
    *(f"rcf_r101 model.queries={queries}" for queries in (15, 20, 25)),
    "rcf_r101 model.order_supervision=true",
    "rcf_r101 model.weight_map=false",
    "rcf_r50_audio",
    *(f"rcf_r50_audio {R101} model.audio={audio}" for audio in ("true", "false")),
    *(f"rcf_{backbone} {HEARS}" for backbone in ("swinb", "swinl")),
    *(f"rcf_r50_audio model.references={delta}" for delta in (0, 1, 2, 4, 5)),
    *(f"rcf_r50_audio model.references={delta} model.audio=false" for delta in range(6)),
]
AFCV = [
    "crossvis_r50",
    "crossvis_r101",
    "afcv_r50",
    "afcv_r50 loss.crossover=false",
    "crossvis_r50 loss.crossover=false",
]
NO_MOTION, NO_GENERATION, DEAF = "model.motion=false", "model.generation=false", "model.fusion=none"
AVS = [
    *(
        f"avs_bg_{backbone}_{data} {' '.join(parts)}"
        for backbone in ("pvt", "r50")
        for data in ("s4", "ms3")
        for parts in ([], [NO_MOTION], [NO_GENERATION], [NO_MOTION, NO_GENERATION], [DEAF, NO_MOTION, NO_GENERATION])
    ),
    *(
        f"avsbench_{backbone}_{data} {generation}"
        for backbone in ("pvt", "r50")
        for data in ("s4", "ms3")
        for generation in ("", "model.generation=true")
    ),
    "avsbench_pvt_avss",
    "avsbench_r50_avss",
]


def built(row: str, *more: str) -> tuple[RunConfig, nn.Module]:
    name, *settings = row.split()
    config = load_config(name, [*settings, *more])
    with torch.device("meta"):
        return config, build_model(config).eval()


@pytest.mark.parametrize("row", RCF)
def test_rcf(row: str) -> None:
    config, model = built(row)
    assert isinstance(model, Rcf)
    delta, heard = config.model.references, None
    if config.model.audio:
        sound = torch.zeros(1, delta + 1, 4096, device="meta")
        heard = Heard(audio_BRA=sound, valid_BR=torch.ones(1, delta + 1, dtype=torch.bool, device="meta"))
    maps = model.look(torch.zeros(3, 360, 640, device="meta"))
    said = model.decide(maps, [maps[-1]] * delta, heard)
    assert said.logits_LBQK.shape == (1, 1, config.model.queries, config.model.num_classes + 1)
    assert said.masks_LBQHW.shape == (1, 1, config.model.queries, 96, 160)
    assert (config.loop.iterations, config.data.batch) == (60_000, 16)


@pytest.mark.parametrize("row", AFCV)
def test_afcv(row: str) -> None:
    config, model = built(row, "model.num_identities=3774")
    assert isinstance(model, Afcv)
    heads, features = model.look(
        torch.zeros(3, 360, 640, device="meta"), torch.zeros(64, 64, device="meta") if config.model.audio else None
    )
    cells = 48 * 80 + 24 * 40 + 12 * 20 + 6 * 10 + 3 * 5
    assert heads.logits_NLK.shape == (1, cells, config.model.num_classes)
    assert features.shape == (1, 8, 48, 80)
    assert config.loss.crossover == ("crossover=false" not in row) and config.data.batch == 16


@pytest.mark.parametrize("row", AVS)
def test_avs_bg(row: str) -> None:
    config, model = built(row)
    assert isinstance(model, AvsBg)
    heard = torch.zeros(5, 128, device="meta") if config.model.needs_audio else None
    maps = model._maps(torch.zeros(5, 3, 224, 224, device="meta"), heard, ClipFrames((5,)), None)
    assert maps.logits_NKHW.shape == (5, 71 if "avss" in row else 1, 224, 224)
    if model.head.generator is not None:
        assert model.head.generator(maps.moved[-1], maps.logits_NKHW[:, :1]).shape == (5, 128)
    rounds = 15 if "s4" in row else 30 if "ms3" in row else 60
    assert (config.loop.rounds, config.data.batch) == (rounds, 8 if row.startswith("avs_bg") else 4)
