"""The engines: two ways to the same SAM give the same masks, SAM 2 runs, GrabCut finds what a box is drawn around."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from avis_data.annotation.segmenters.engines import load_segmenter
from avis_data.annotation.segmenters.grabcut import GrabCut
from avis_data.annotation.segmenters.sam import TransformersSam
from avis_data.annotation.segmenters.segment_anything_engine import _package
from avis_data.annotation.segmenters.segmenter import Prompt
from avis_data.errors import AvisError, ConfigError, DataError
from avis_data.formats.ytvis import read_ytvis
from avis_data.masks.rle import area, decode

HEIGHT, WIDTH = 90, 160


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def drawn() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[20:50, 30:80] = True
    return mask


PROMPTS = {
    "a point": Prompt(inside=((30, 40),)),
    "a box": Prompt(box=(10, 10, 90, 70)),
    "points and a box": Prompt(inside=((30, 40), (50, 45)), outside=((100, 20),), box=(10, 10, 90, 70)),
    "a point on a mask": Prompt(inside=((30, 40),), mask_HW=drawn()),
    "a point beside a mask": Prompt(outside=((70, 40),), mask_HW=drawn()),
}


@pytest.fixture(scope="module")
def official_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SAM with random weights, as the official package writes it."""
    torch.manual_seed(0)
    model = _package()._build_sam(
        encoder_embed_dim=32, encoder_depth=3, encoder_num_heads=2, encoder_global_attn_indexes=[2]
    )
    for name, parameter in model.named_parameters():
        if "pos" in name or not parameter.any():  # these start at zero, where a mistake would not be seen
            torch.nn.init.normal_(parameter, std=0.1)
    path = tmp_path_factory.mktemp("weights") / "sam_vit_small.pth"
    torch.save(model.state_dict(), path)
    return path


@pytest.mark.slow
def test_transformers_and_the_official_package_agree(official_file: Path) -> None:
    ours, official = (load_segmenter(engine, official_file) for engine in ("sam", "segment-anything"))
    assert ours.weights_sha256 == official.weights_sha256 and ours.weights_sha256
    embedding, theirs = ours.embed(picture()), official.embed(picture())
    np.testing.assert_allclose(
        embedding["map0"].astype(float), theirs["map0"].astype(float), atol=4e-3
    )  # half precision
    for name, prompt in PROMPTS.items():
        one, two = (engine.logits(picture(), embedding, prompt) for engine in (ours, official))
        assert float((one[0] - two[0]).abs().max()) <= 1e-4, name
        assert one[1] == pytest.approx(two[1], abs=1e-5), name


@pytest.mark.slow
def test_prompts_change_the_answer_and_repeating_does_not(official_file: Path) -> None:
    engine = load_segmenter("sam", official_file)
    assert isinstance(engine, TransformersSam)
    embedding = engine.embed(picture())
    answers = [engine.logits(picture(), embedding, prompt)[0] for prompt in PROMPTS.values()]
    for first in range(len(answers)):
        for second in range(first):
            assert float((answers[first] - answers[second]).abs().max()) > 1e-4
    again = engine.logits(picture(), embedding, PROMPTS["a point"])[0]
    torch.testing.assert_close(again, answers[0], rtol=0, atol=0)
    assert engine.segment(picture(), embedding, PROMPTS["a box"]).mask_HW.shape == (HEIGHT, WIDTH)


@pytest.mark.slow
def test_sam2_answers_from_its_three_maps() -> None:
    from transformers import Sam2Config, Sam2Model

    torch.manual_seed(0)
    hiera = {
        "hidden_size": 16, "num_attention_heads": 1, "blocks_per_stage": [1, 2, 2, 1],
        "embed_dim_per_stage": [16, 32, 64, 128], "num_attention_heads_per_stage": [1, 1, 2, 2],
        "global_attention_blocks": [4], "image_size": [128, 128],
    }  # fmt: skip
    vision = {
        "backbone_config": hiera | {"model_type": "sam2_hiera_det_model"},
        "backbone_channel_list": [128, 64, 32, 16],
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        "fpn_hidden_size": 128,
    }
    prompts = {"hidden_size": 128, "image_size": 128}
    decoder = {"hidden_size": 128, "mlp_dim": 64, "num_attention_heads": 4, "iou_head_hidden_dim": 32}
    model = Sam2Model(Sam2Config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder))
    engine = TransformersSam(model, name="sam2", weights_sha256=None, device=torch.device("cpu"))
    embedding = engine.embed(picture())
    assert [embedding[f"map{k}"].shape[-1] for k in range(3)] == [32, 16, 8]
    for prompt in PROMPTS.values():
        found = engine.segment(picture(), embedding, prompt)
        assert found.mask_HW.shape == (HEIGHT, WIDTH) and 0 <= found.confidence <= 1


def test_grabcut_finds_what_stands_out() -> None:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    disc = (columns - 70) ** 2 + (rows - 45) ** 2 < 25**2
    noise = np.random.default_rng(0).integers(0, 30, (HEIGHT, WIDTH, 3))
    still = (np.where(disc[..., None], [200, 60, 40], [40, 120, 60]) + noise).astype(np.uint8)
    engine = GrabCut()
    prompts = (Prompt(box=(44, 19, 96, 71)), Prompt(inside=((70, 45),)), Prompt(inside=((70, 45),), mask_HW=drawn()))
    for prompt in prompts:
        found = engine.segment(still, {}, prompt).mask_HW
        assert (found & disc).sum() / (found | disc).sum() > 0.93
        np.testing.assert_array_equal(engine.segment(still, {}, prompt).mask_HW, found)
    beside = engine.segment(still, {}, Prompt(inside=((70, 45),), outside=((70, 25),))).mask_HW
    assert not beside[25, 70]


def test_grabcut_leaves_what_runs_through_the_box_and_obeys_points() -> None:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    disc = (columns - 70) ** 2 + (rows - 45) ** 2 < 25**2
    pole = abs(columns - 78) < 5
    noise = np.random.default_rng(0).integers(0, 30, (HEIGHT, WIDTH, 3))
    still = np.where(disc[..., None], [200, 60, 40], [40, 120, 60])
    still = (np.where(pole[..., None], [90, 90, 200], still) + noise).astype(np.uint8)
    box, seen = (45, 20, 96, 71), disc & ~pole
    found = GrabCut().segment(still, {}, Prompt(box=box)).mask_HW
    assert (found & seen).sum() / (found | seen).sum() > 0.93
    wished = GrabCut().segment(still, {}, Prompt(box=box, inside=((78, 45),), outside=((60, 45),))).mask_HW
    assert wished[45, 78] and not wished[45, 60]


def test_grabcut_on_the_synthetic_world(labelled_world: Path) -> None:
    """One box per object and still, objects half hidden behind others included."""
    truth, shares = read_ytvis(labelled_world / "truth.json"), []
    names = {video.video_id: video.name for video in truth.videos}
    for track in truth.tracks:
        for second, mask in enumerate(track.masks):
            path = labelled_world / "stills" / names[track.video_id] / f"{second:05d}.jpg"
            if mask is not None and area(mask) >= 400:
                inside = decode(mask).astype(bool)
                rows, columns = np.nonzero(inside)
                box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                with Image.open(path) as still:
                    found = GrabCut().segment(np.asarray(still.convert("RGB")), {}, Prompt(box=box)).mask_HW
                shares.append((found & inside).sum() / (found | inside).sum())
    assert len(shares) >= 20
    assert np.mean(shares) > 0.87 and np.median(shares) > 0.9


def test_engines_say_what_they_need(tmp_path: Path, official_file: Path) -> None:
    cases: dict[str, tuple[str, Path | None, type[AvisError]]] = {
        "there are: grabcut, saliency, sam, sam2, segment-anything": ("sam3", None, ConfigError),
        "needs its weights": ("sam", None, ConfigError),
        "has no weights": ("grabcut", official_file, ConfigError),
        "no such file": ("sam", tmp_path / "none.pth", ConfigError),
        "no official SAM 2 checkpoint": ("sam2", official_file, DataError),
    }
    for message, (engine, weights, kind) in cases.items():
        with pytest.raises(kind, match=message):
            load_segmenter(engine, weights)


def test_weights_of_strangers_are_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    for name, content in (("evil.pth", {"image_encoder.pos_embed": Evil()}), ("other.pth", {"a": torch.zeros(1)})):
        torch.save(content, tmp_path / name)
        for engine in ("sam", "segment-anything"):
            with pytest.raises(DataError):
                load_segmenter(engine, tmp_path / name)
    assert not (tmp_path / "ran").exists()
