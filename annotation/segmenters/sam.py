"""SAM and SAM 2 through transformers: HF folders, or for SAM the official `.pth` files. They need no torchvision."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avis_data.annotation.segmenters.official_sam import read_official, renamed, vision_shape
from avis_data.annotation.segmenters.official_sam2 import image_model
from avis_data.annotation.segmenters.pictures import Frame, box_of, found_in, points_of, refined
from avis_data.annotation.segmenters.segmenter import Embedding, Found, Prompt
from avis_data.errors import DataError

__all__ = ["TransformersSam", "load_sam", "load_sam2"]


class _Sized(Protocol):
    @property
    def image_size(self) -> int: ...


class _Config(Protocol):
    @property
    def vision_config(self) -> _Sized: ...

    @property
    def prompt_encoder_config(self) -> _Sized: ...


class _Output(Protocol):
    @property
    def iou_scores(self) -> Tensor: ...

    @property
    def pred_masks(self) -> Tensor: ...


class SamLike(Protocol):
    """A SamModel or Sam2Model of transformers."""

    @property
    def config(self) -> _Config: ...

    def eval(self) -> Self: ...

    def to(self, device: torch.device) -> Self: ...

    def get_image_embeddings(self, pixel_values: Tensor) -> Tensor | list[Tensor]: ...

    def __call__(
        self,
        *,
        image_embeddings: Tensor | list[Tensor],
        input_points: Tensor | None,
        input_labels: Tensor | None,
        input_boxes: Tensor | None,
        input_masks: Tensor | None,
        multimask_output: bool,
    ) -> _Output: ...


class _FromFolder(Protocol):
    """The class of such a model."""

    __name__: str

    def from_pretrained(self, path: Path, *, local_files_only: bool, use_safetensors: bool) -> SamLike: ...


class TransformersSam:
    """A SAM or SAM 2 of transformers. Answering changes nothing in it, so threads may share it."""

    embeds = True

    def __init__(self, model: SamLike, *, name: str, weights_sha256: str | None, device: torch.device) -> None:
        """Nothing is worked out yet."""
        self._model = model.eval().to(device)
        self._device = device
        self._is_sam2 = hasattr(model, "no_memory_embedding")
        config = model.config
        self._side = int((config.prompt_encoder_config if self._is_sam2 else config.vision_config).image_size)
        self.name, self.weights_sha256 = name, weights_sha256

    @torch.inference_mode()
    def embed(self, picture_HW3: NDArray[np.uint8]) -> Embedding:
        """Feature maps of the image encoder: `map0` (and `map1`, `map2` for SAM 2, finest first)."""
        frame = self._frame(picture_HW3)
        found = self._model.get_image_embeddings(frame.network_input(picture_HW3).to(self._device))
        maps = found if isinstance(found, list | tuple) else [found]
        return {f"map{k}": _fp16(feature) for k, feature in enumerate(maps)}

    @torch.inference_mode()
    def logits(self, picture_HW3: NDArray[np.uint8], embedding: Embedding, prompt: Prompt) -> tuple[Tensor, float]:
        """Mask logits at the size of the picture, and the network's opinion of the mask."""
        frame, asked = self._frame(picture_HW3), refined(prompt)
        points, box = points_of(asked, frame), box_of(asked, frame)
        maps = [self._tensor(embedding[f"map{k}"]) for k in range(len(embedding))]
        cells = 4 * maps[-1].shape[-1]
        mask = None if asked.mask_HW is None else frame.mask_prompt(asked.mask_HW, cells).to(self._device)
        is_vague = points is not None and len(points[1]) == 1 and box is None and mask is None
        output = self._model(
            image_embeddings=maps if self._is_sam2 else maps[0],
            input_points=None if points is None else points[0][None, None].to(self._device),
            input_labels=None if points is None else points[1][None, None].to(self._device),
            input_boxes=None if box is None else box[None, None].to(self._device),
            input_masks=mask,
            multimask_output=is_vague,
        )
        best = int(output.iou_scores[0, 0].argmax())
        return frame.whole(output.pred_masks[0, 0, best].cpu()), float(output.iou_scores[0, 0, best].clamp(0, 1))

    def segment(self, picture_HW3: NDArray[np.uint8], embedding: Embedding, prompt: Prompt) -> Found:
        """The best of three answers to a single point, else the one answer."""
        return found_in(*self.logits(picture_HW3, embedding, prompt))

    def _frame(self, picture_HW3: NDArray[np.uint8]) -> Frame:
        height, width = picture_HW3.shape[:2]
        return Frame(height, width, self._side, keeps_aspect=not self._is_sam2)

    def _tensor(self, array: NDArray[np.float16]) -> Tensor:
        return torch.from_numpy(array).to(self._device).float()


def load_sam(path: Path, *, weights_sha256: str, device: torch.device) -> TransformersSam:
    """SAM from a folder in Hugging Face's format, or from an official `.pth`.

    Raises:
        DataError: if it is neither, or tensors are missing or left over.
    """
    from transformers import SamModel

    if path.is_dir():
        model = _from_folder(cast(_FromFolder, SamModel), path)
    else:
        model = _from_official(path)
    return TransformersSam(model, name="sam", weights_sha256=weights_sha256, device=device)


def load_sam2(path: Path, *, weights_sha256: str, device: torch.device) -> TransformersSam:
    """SAM 2 or 2.1 from a folder in Hugging Face's format, or from an official `.pt`.

    Raises:
        DataError: if it is neither, or tensors are missing or left over.
    """
    from transformers import Sam2Model

    model = _from_folder(cast(_FromFolder, Sam2Model), path) if path.is_dir() else cast(SamLike, image_model(path))
    return TransformersSam(model, name="sam2", weights_sha256=weights_sha256, device=device)


def _from_folder(kind: _FromFolder, path: Path) -> SamLike:
    try:
        return kind.from_pretrained(path, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: no folder of {kind.__name__} ({str(error).splitlines()[0][:200]})") from None


def _from_official(path: Path) -> SamLike:
    from transformers import SamConfig, SamModel

    tensors = read_official(path)
    shape = vision_shape(tensors, path)
    vision = {
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "mlp_dim": shape.feedforward,
        "image_size": shape.side,
        "patch_size": shape.patch,
        "global_attn_indexes": shape.global_layers,
        "window_size": shape.window,
    }
    prompts = {"image_size": shape.side, "patch_size": shape.patch}
    model = SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompts))
    wrong = model.load_state_dict(renamed(tensors), strict=False)
    if wrong.missing_keys or wrong.unexpected_keys:
        shown = ", ".join([*wrong.missing_keys, *wrong.unexpected_keys][:5])
        raise DataError(f"{path}: tensors are missing or left over: {shown}")
    return cast(SamLike, model)


def _fp16(feature: Tensor) -> NDArray[np.float16]:
    return feature.cpu().numpy().astype(np.float16)
