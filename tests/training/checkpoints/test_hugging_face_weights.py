"""Folders of transformers as start weights: our modules then give what the models of transformers give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

from avis_data.errors import DataError
from avis_data.training.checkpoints.start_weights import load_into, read_start_weights
from avis_data.training.models.avism.model import Avism
from avis_data.training.models.backbones import SwinSpec
from support.tiny_avism import tiny_config

if TYPE_CHECKING:
    import transformers  # takes seconds, which the collection of tests need not wait for

STAGES = ["stage1", "stage2", "stage3", "stage4"]
SWIN = SwinSpec(embed_channels=8, depths=(1, 1, 2, 1), heads=(1, 2, 2, 4), window=4, drop_path=0.0)


def swin_config(**changes: object) -> transformers.SwinConfig:
    import transformers

    return transformers.SwinConfig(
        embed_dim=8, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 4], window_size=4, drop_path_rate=0.0, **changes
    )


def scrambled(model: nn.Module) -> nn.Module:
    """Random values everywhere, norms and biases too: what starts at zero or one hides mistakes."""
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.randn(tensor.shape, generator=rng)
                positive = name.endswith("running_var") or ("norm" in name and name.endswith("weight"))
                tensor.copy_(1 + 0.2 * noise.clamp(-3, 3) if positive else 0.3 * noise)
    return model.eval()


def image() -> torch.Tensor:
    return torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def test_a_resnet_classifier_starts_the_backbone(tmp_path: Path) -> None:
    import transformers

    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[16, 16, 32, 32], depths=[1, 1, 1, 1])
    scrambled(transformers.ResNetForImageClassification(config)).save_pretrained(tmp_path)
    model = Avism(tiny_config())
    report = load_into(model, read_start_weights(tmp_path).tensors)
    assert report.unexpected == report.misshapen == ()
    assert report.loaded == len(model.backbone.state_dict())
    theirs = transformers.ResNetBackbone.from_pretrained(tmp_path, out_features=STAGES).eval()(image()).feature_maps
    for ours, map_ in zip(model.backbone(image()), theirs, strict=True):
        torch.testing.assert_close(ours, map_, atol=1e-4, rtol=1e-4)


def test_a_swin_classifier_starts_the_backbone_but_not_its_output_norms(tmp_path: Path) -> None:
    import transformers

    scrambled(transformers.SwinForImageClassification(swin_config())).save_pretrained(tmp_path)
    model = Avism(tiny_config(backbone=SWIN))
    report = load_into(model, read_start_weights(tmp_path).tensors)
    assert report.unexpected == report.misshapen == ()
    missing = {name for name in report.missing if name.startswith("backbone.")}
    assert missing == {
        f"backbone.body.hidden_states_norms.{stage}.{leaf}" for stage in STAGES for leaf in ("weight", "bias")
    }


def test_a_swin_backbone_gives_its_maps(tmp_path: Path) -> None:
    import transformers

    theirs = scrambled(transformers.SwinBackbone(swin_config(out_features=STAGES)))
    theirs.save_pretrained(tmp_path)
    model = Avism(tiny_config(backbone=SWIN)).eval()
    load_into(model, read_start_weights(tmp_path).tensors)
    for ours, map_ in zip(model.backbone(image()), theirs(image()).feature_maps, strict=True):
        torch.testing.assert_close(ours, map_, atol=1e-4, rtol=1e-4)


def test_mask2former_of_transformers_and_ours_give_the_same(tmp_path: Path) -> None:
    """An oracle that shares no code with our pixel decoder and masked decoder."""
    import transformers

    config = transformers.Mask2FormerConfig(
        backbone_config=swin_config(out_features=STAGES), feature_size=32, mask_feature_size=32, hidden_dim=32,
        encoder_layers=1, encoder_feedforward_dim=32, decoder_layers=4, dim_feedforward=32, num_attention_heads=4,
        num_queries=5, dropout=0.0, num_labels=4,
    )  # fmt: skip
    theirs = scrambled(transformers.Mask2FormerForUniversalSegmentation(config))
    theirs.save_pretrained(tmp_path)
    model = Avism(tiny_config(backbone=SWIN, frame_fusion=False, video_fusion=False)).eval()
    report = load_into(model, read_start_weights(tmp_path).tensors)
    assert report.unexpected == report.misshapen == ()
    left = {name for name in report.missing if not name.startswith("tracker.")}
    assert left == {"frame_decoder.class_head.weight", "frame_decoder.class_head.bias"}
    with torch.no_grad():
        expected = theirs.model(image(), output_hidden_states=True)
        maps = model.pixel_decoder(model.backbone(image()))
        mask = model.pixel_decoder.mask_embedding(maps.fpn_NChw)
        found = model.frame_decoder(maps.scales, mask, None, keep_layers=1)
    assert all(0.1 < float((masks > 0).float().mean()) < 0.9 for masks in expected.masks_queries_logits)
    torch.testing.assert_close(mask, expected.pixel_decoder_last_hidden_state, atol=1e-3, rtol=1e-4)
    for head, masks in zip(found.heads, expected.masks_queries_logits, strict=True):
        torch.testing.assert_close(head.masks_NQhw, masks, atol=1e-3, rtol=1e-3)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    import transformers

    from avis_data.training.checkpoints.hugging_face import from_hugging_face

    with pytest.raises(DataError, match="no model folder"):
        from_hugging_face(tmp_path)
    transformers.ViTModel(
        transformers.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    ).save_pretrained(tmp_path / "vit")
    with pytest.raises(DataError, match="holds a vit model"):
        from_hugging_face(tmp_path / "vit")
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[16, 16, 32, 32], depths=[1, 1, 1, 1])
    config.save_pretrained(tmp_path / "empty")
    with pytest.raises(DataError, match="cannot be read"):
        from_hugging_face(tmp_path / "empty")
