"""The engine `sam2`: SAM 2 of transformers follows objects through the pictures with a memory of what it has seen.

Source: Ravi et al., "SAM 2: Segment Anything in Images and Videos", ICLR 2025; specs of the environment, §4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avis_data.annotation.propagation.carrier import Carried
from avis_data.annotation.segmenters.official_sam2 import video_model
from avis_data.annotation.segmenters.pictures import Frame
from avis_data.errors import DataError

__all__ = ["Sam2Video", "load_sam2_video"]

_KEPT_SEEDS = 2
"""Drawn masks of an object that stay in memory: the newest ones. Attention costs time for each."""


class Sam2Video:
    """A Sam2VideoModel, which every run through a clip shares and none changes."""

    version = 1

    def __init__(self, model: Any, *, name: str = "sam2", weights_sha256: str | None, device: torch.device) -> None:
        """`model`: a Sam2VideoModel."""
        self.model = model.eval().to(device)
        self.device = device
        self.name, self.weights_sha256 = name, weights_sha256

    def start(self) -> _Sam2Run:
        """Begin a way through a clip."""
        return _Sam2Run(self.model, self.device)


class _Sam2Run:
    """One session. Its steps are numbered in the order in which they are seen, so it always goes forwards."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model, self._device = model, device
        self._side = int(model.image_size)
        self._reach = max(int(model.num_maskmem), int(model.config.max_object_pointers_in_encoder))
        self._session: Any = None
        self._pixels: Tensor | None = None
        self._number = -1
        self._names: dict[str, int] = {}
        self._frame: Frame | None = None

    @torch.inference_mode()
    def step(self, picture_HW3: NDArray[np.uint8], *, is_still: bool) -> dict[str, Carried]:
        """Go on to the next picture."""
        height, width = picture_HW3.shape[:2]
        self._frame = Frame(height, width, self._side, keeps_aspect=False)
        if self._session is None:
            self._session = self._new_session(height, width)
        self._number += 1
        self._pixels = self._frame.network_input(picture_HW3).to(self._device)
        self._forget()
        return self._carried(self._look()) if self._names else {}

    @torch.inference_mode()
    def put(self, masks: Mapping[str, NDArray[np.bool_]]) -> None:
        """Give masks of the picture of the last step to the memory."""
        if not masks:
            return
        for identity, mask_HW in masks.items():
            number = self._names.setdefault(identity, len(self._names))
            index = self._session.obj_id_to_idx(number)
            # What was tracked on this picture gives way to what was drawn, which becomes a seed.
            self._session.frames_tracked_per_obj[index].pop(self._number, None)
            self._session.output_dict_per_obj[index]["non_cond_frame_outputs"].pop(self._number, None)
            mask = torch.from_numpy(mask_HW.astype(np.float32))[None, None]
            self._session.add_mask_inputs(index, self._number, mask)
            self._session.obj_with_new_inputs.append(number)
        self._look()

    def cut(self) -> None:
        """Begin anew: the memory is of another scene."""
        self._session, self._number, self._names = None, -1, {}

    def _look(self) -> Any:
        """Run the network on the present picture; given as a new one, it needs no number of all pictures."""
        return self._model(self._session, frame=self._pixels, frame_idx=self._number)

    def _new_session(self, height: int, width: int) -> Any:
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        return Sam2VideoInferenceSession(
            video=None,
            video_height=height,
            video_width=width,
            inference_device=self._device,
            inference_state_device=self._device,
            video_storage_device=self._device,
            dtype=torch.float32,
        )

    def _forget(self) -> None:
        """Drop what no later step asks for, so that memory does not grow with the clip."""
        session, oldest = self._session, self._number - self._reach
        session.processed_frames = None
        for index, outputs in session.output_dict_per_obj.items():
            seeds, tracked = outputs["cond_frame_outputs"], outputs["non_cond_frame_outputs"]
            for number in [number for number in tracked if number < oldest]:
                del tracked[number]
            for number in sorted(seeds)[:-_KEPT_SEEDS]:
                del seeds[number]
                session.mask_inputs_per_obj[index].pop(number, None)
            frames = session.frames_tracked_per_obj[index]
            for number in [number for number in frames if number < oldest]:
                del frames[number]

    def _carried(self, output: Any) -> dict[str, Carried]:
        assert self._frame is not None
        scores = output.object_score_logits.reshape(len(output.object_ids)).float().cpu()
        by_number = {number: place for place, number in enumerate(output.object_ids)}
        found = {}
        for identity, number in self._names.items():
            place = by_number[number]
            logits_HW = self._frame.whole(output.pred_masks[place, 0].float().cpu())
            found[identity] = _judged(logits_HW, float(torch.sigmoid(scores[place])))
        return found


def _judged(logits_HW: Tensor, presence: float) -> Carried:
    """The mask, empty where the network says that the object is absent; sure where its logits are far from 0."""
    mask = logits_HW > 0
    if presence < 0.5 or not bool(mask.any()):
        return Carried(mask_HW=np.zeros(tuple(logits_HW.shape), dtype=np.bool_), confidence=1 - presence)
    surely = (logits_HW > 1).sum() / (logits_HW > -1).sum()  # stability of the outline, as SAM's own mask filter
    return Carried(mask_HW=mask.numpy(), confidence=presence * float(surely))


def load_sam2_video(path: Path, *, weights_sha256: str, device: torch.device) -> Sam2Video:
    """SAM 2 or 2.1 from a folder in Hugging Face's format, or from an official `.pt`.

    Raises:
        DataError: if it is neither, or tensors are missing or left over.
    """
    from safetensors import SafetensorError
    from transformers import Sam2VideoModel

    if not path.is_dir():
        return Sam2Video(video_model(path), weights_sha256=weights_sha256, device=device)
    hint = "avis-data weights get sam2.1-tiny, or facebook/sam2.1-hiera-... as a folder"
    try:
        loaded: Any = Sam2VideoModel.from_pretrained(
            path, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        model, report = loaded  # with the loading info it is a pair, which the types do not know
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        message = f"{path}: no folder of SAM 2 ({str(error).splitlines()[0][:200]})"
        raise DataError(message, hint=hint) from None
    if missing := report["missing_keys"]:
        raise DataError(f"{path}: tensors are missing: {', '.join(sorted(missing)[:5])}", hint=hint)
    return Sam2Video(model, weights_sha256=weights_sha256, device=device)
