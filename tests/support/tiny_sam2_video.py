"""A SAM 2 video model that is small, random and untrained: for the plumbing, not for what it sees."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["tiny_sam2_video"]

_SIDE = 128


def tiny_sam2_video(seed: int = 0) -> Any:
    """1.3 M parameters on 128 x 128 pixels. The sizes obey hidden rules of the memory attention."""
    from transformers import Sam2VideoConfig, Sam2VideoModel

    torch.manual_seed(seed)
    stages = [16, 32, 64, 128]
    config = Sam2VideoConfig(
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": stages[0],
                "image_size": [_SIDE, _SIDE],
                "blocks_per_stage": [1, 1, 2, 1],
                "embed_dim_per_stage": stages,
                "num_attention_heads_per_stage": [1, 1, 2, 2],
                "window_size_per_stage": [8, 4, 4, 4],
                "global_attention_blocks": [3],
            },
            "backbone_channel_list": stages[::-1],
            "backbone_feature_sizes": [[_SIDE // 4] * 2, [_SIDE // 8] * 2, [_SIDE // 16] * 2],
            "fpn_hidden_size": 128,
        },
        prompt_encoder_config={"hidden_size": 128, "image_size": _SIDE},
        mask_decoder_config={"hidden_size": 128, "mlp_dim": 128, "num_attention_heads": 2, "iou_head_hidden_dim": 64},
        image_size=_SIDE,
        memory_attention_hidden_size=128,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=128,
        memory_attention_rope_feat_sizes=[_SIDE // 16, _SIDE // 16],
        memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=128,
    )
    model = Sam2VideoModel(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)  # else what is remembered hardly changes what is seen
        model.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(5.0)  # the object is always there
    return model
