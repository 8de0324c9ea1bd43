"""Official files of SAM 2 and 2.1: every size is taken whole, and gives what the official modules give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avis_data.annotation.segmenters.official_sam2 import image_model, video_model
from avis_data.errors import DataError
from support.official_sam2 import SIZES, official_shapes, values_of

OFFICIAL_LOGITS = [
    *(1.7531, 2.7805, 1.6972, -0.6218, 0.0768, 0.4405, 4.1284, 1.2571),
    *(0.4925, -0.0203, -3.6662, -2.5456, 9.4352, -0.2991, 1.2224, -1.9201),
    *(0.1870, -0.1733, 0.8831, 0.5945, 0.0060, 1.2467, 0.3432, 1.1767),
    *(1.4822, 1.6102, 2.3753, -2.1107, 6.1147, 0.8284, 1.7686, -0.1244),
    *(7.7408, 3.4420, -0.6318, 2.5974, 2.0774, 4.2488, 0.2904, -2.9675),
    *(0.1909, 0.1382, -4.0181, 1.5586, 1.0595, 3.9474, 1.6966, -0.4384),
]
"""Of the package sam2 1.1.0 (config sam2.1_hiera_t), with the values of `values_of`: each 64th of the three masks."""
OFFICIAL_SCORES = [0.489939, 0.556496, 0.549608]


def saved(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    torch.save({"model": tensors}, path)
    return path


def one_number(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Tensors of these shapes that take no room."""
    return {name: torch.full((1,), 1e-3).expand(shape) for name, shape in shapes.items()}


@pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter")  # shapes are all that is asked for
@pytest.mark.parametrize("is_later", [False, True], ids=["2", "2.1"])
@pytest.mark.parametrize("size", SIZES)
def test_every_published_size_fits_without_a_tensor_missing_or_left_over(
    tmp_path: Path, size: str, is_later: bool
) -> None:
    path = saved(tmp_path / "sam2.pt", one_number(official_shapes(size, is_later=is_later)))
    with torch.device("meta"):
        image, video = image_model(path), video_model(path)
    windows = image.config.vision_config.backbone_config.window_size_per_stage
    assert windows == ([8, 4, 16, 8] if size == "large" else [8, 4, 14, 7])
    assert video.config.enable_occlusion_spatial_embedding == is_later


def test_the_same_values_give_the_masks_of_the_official_modules(tmp_path: Path) -> None:
    path = saved(tmp_path / "sam2.1_hiera_tiny.pt", values_of(official_shapes("tiny", is_later=True)))
    model = image_model(path).eval()
    picture = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, 1024, 1024), dtype=np.float32))
    with torch.inference_mode():
        found = model(
            image_embeddings=model.get_image_embeddings(picture),
            input_points=torch.tensor([[[[300.0, 400.0], [700.0, 500.0]]]]),
            input_labels=torch.tensor([[[1, 0]]]),
            multimask_output=True,
        )
    shown = found.pred_masks[0, 0, :, 32::64, 32::64].flatten()
    np.testing.assert_allclose(shown.numpy(), OFFICIAL_LOGITS, atol=2e-4)
    np.testing.assert_allclose(found.iou_scores.flatten().numpy(), OFFICIAL_SCORES, atol=1e-5)


def test_what_is_no_whole_sam2_is_told(tmp_path: Path) -> None:
    whole = one_number(official_shapes("tiny", is_later=True))
    less = {name: tensor for name, tensor in whole.items() if name != "no_mem_embed"}
    more = {**whole, "mystery": torch.zeros(1)}
    other = {**whole, "no_mem_embed": torch.zeros(1, 1, 7)}
    deep = {**whole, "image_encoder.trunk.blocks.12.norm1.weight": torch.zeros(768)}
    for tensors, words in (
        (less, "missing or left over: no_memory_embedding"),
        (more, "missing or left over: mystery"),
        (other, "no_memory_embedding"),
        (deep, "13 blocks from 96 channels"),
        ({"conv1.weight": torch.zeros(1)}, "weights get sam2.1-tiny"),
    ):
        path = saved(tmp_path / "odd.pt", tensors)
        for load in (image_model, video_model):
            with pytest.raises(DataError) as caught:
                load(path)
            assert words in str(caught.value)
