"""Our modules give the numbers of the official ones, from the official weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from support import parity_avism as avism
from support import parity_avs as avs
from support.parity_avism_full import run_full
from support.parity_avism_losses import run_losses
from support.parity_cases import Case, Kind

STAGES = ("res2", "res3", "res4", "res5")
KINDS = (
    Kind(run=avism.run_backbone, inputs=("image",), weights=r"stem\.conv1|patch_embed\."),
    Kind(run=avism.run_pixel_decoder, inputs=STAGES, weights=r"transformer\.encoder\.layers"),
    Kind(run=avism.run_frame_decoder, inputs=("multi_scale.0", "mask_features"), weights=r"mask_embed"),
    Kind(run=avism.run_tracker, inputs=("frame_queries",), weights=r"sim_embed"),
    Kind(run=avism.run_targets, inputs=("gt_classes", "gt_ids", "gt_masks"), weights=None),
    Kind(run=run_losses, inputs=("frame_head.0.pred_logits", "video_head.0.pred_logits"), weights=None),
    Kind(run=avism.run_inference, inputs=("pred_logits", "pred_mask_embed", "mask_features"), weights=None),
    Kind(run=run_full, inputs=("inference.frames", "train.frames"), weights=r"sem_seg_head\."),
    Kind(run=avs.run_encoder, inputs=("image",), weights=r"patch_embed1\.|conv1\.weight"),
    Kind(run=avs.run_fusion, inputs=("visual.0", "audio"), weights=r"\d\.conv1\."),
    Kind(run=avs.run_motion, inputs=("fused.0",), weights=r"\d\.weight"),
    Kind(run=avs.run_projection, inputs=("audio",), weights=r"maksed_visual_to_audio", but=r"neck\."),
    Kind(run=avs.run_decoder, inputs=("moved.0",), weights=r"head_up_2\."),
    Kind(run=avs.run_losses, inputs=("fused.0", "logits", "masks", "audio", "consistency"), weights=None),
    Kind(run=avs.run_avs_bg, inputs=("features.0", "audio"), weights=r"neck\."),
    Kind(run=avs.run_tpavi, inputs=("visual", "audio"), weights=r"align_channel\."),
    Kind(run=avs.run_tpavi_unit, inputs=("visual", "audio"), weights=r"theta\.", but=r"align_channel\."),
    Kind(run=avs.run_baseline, inputs=("features.0", "audio"), weights=r"path4\."),
    Kind(run=avs.run_baseline_losses, inputs=("fused.0", "audio.0", "logits"), weights=None),
)


def runner_of(case: Case) -> Callable[[Case], None]:
    """The one runner that takes a case. A case that none takes would pass unseen, so it fails."""
    found = [kind.run for kind in KINDS if kind.takes(case)]
    assert len(found) == 1, f"{case.folder}: {[run.__name__ for run in found] or 'no runner'} for {sorted(case.inputs)}"
    return found[0]


def test_case(case: Case, record_property: Callable[[str, object], None]) -> None:
    runner_of(case)(case)
    # Checked in other words: the order of the official list, and the class that follows from a candidate's index.
    case.all_were_compared("result.position_in_the_official_list", "candidate.class")
    assert case.compared
    record_property(case.folder.name, f"{case.worst:.1e} over {case.compared} tensors")


def test_a_runner_does_not_read_what_a_case_is_called(case: Case) -> None:
    """Else a case of another name would be left out."""
    own = runner_of(case)
    for word in ("name", "paper", "module"):
        case.about[word] = "of another laboratory"
    assert runner_of(case) is own


@pytest.mark.parametrize(
    ("inputs", "weight"),
    [
        ("tides", None),
        ("image", None),
        ("image", "sim_embed_clip.weight"),
        ("frame_queries", None),
        ("gt_classes", "sim_embed_clip.weight"),
    ],
)
def test_a_case_that_no_runner_takes_fails(inputs: str, weight: str | None, tmp_path: Path) -> None:
    save_file({inputs: torch.zeros(1)}, tmp_path / "inputs.safetensors")
    if weight:
        save_file({weight: torch.zeros(1)}, tmp_path / "weights.safetensors")
    (tmp_path / "case.json").write_text(json.dumps({"name": "avism_tracker"}))
    with pytest.raises(AssertionError, match="no runner"):
        runner_of(Case(tmp_path))
