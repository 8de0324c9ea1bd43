"""SAM through the package `segment-anything`, for official `.pth` files; the same masks as through transformers.

The package imports torchvision for things that we do not use. Where torchvision is missing or broken, five empty
modules stand in for it during that import, and are gone after it: one left behind would break transformers.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avis_data.annotation.segmenters.official_sam import read_official, vision_shape
from avis_data.annotation.segmenters.pictures import Frame, box_of, found_in, points_of, refined
from avis_data.annotation.segmenters.segmenter import Embedding, Found, Prompt
from avis_data.errors import DataError

__all__ = ["SegmentAnything", "load_segment_anything"]

_STAND_INS = {
    "torchvision": (),
    "torchvision.transforms": (),
    "torchvision.transforms.functional": ("resize", "to_pil_image"),
    "torchvision.ops": (),
    "torchvision.ops.boxes": ("batched_nms", "box_area"),
}


class _ImageEncoder(Protocol):
    @property
    def img_size(self) -> int: ...

    def __call__(self, pixels: Tensor) -> Tensor: ...


class _PromptEncoder(Protocol):
    def __call__(
        self, *, points: tuple[Tensor, Tensor] | None, boxes: Tensor | None, masks: Tensor | None
    ) -> tuple[Tensor, Tensor]: ...

    def get_dense_pe(self) -> Tensor: ...


class _MaskDecoder(Protocol):
    def __call__(
        self,
        *,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
        multimask_output: bool,
    ) -> tuple[Tensor, Tensor]: ...


class PackageSam(Protocol):
    """A `segment_anything.modeling.Sam`."""

    @property
    def image_encoder(self) -> _ImageEncoder: ...

    @property
    def prompt_encoder(self) -> _PromptEncoder: ...

    @property
    def mask_decoder(self) -> _MaskDecoder: ...

    def eval(self) -> Self: ...

    def to(self, device: torch.device) -> Self: ...


class SegmentAnything:
    """A `Sam` of the package. Answering changes nothing in it, so threads may share it."""

    name = "segment-anything"
    embeds = True

    def __init__(self, model: PackageSam, *, weights_sha256: str | None, device: torch.device) -> None:
        """Nothing is worked out yet."""
        self._model = model.eval().to(device)
        self._device = device
        self.weights_sha256 = weights_sha256

    @torch.inference_mode()
    def embed(self, picture_HW3: NDArray[np.uint8]) -> Embedding:
        """The feature map of the image encoder, `map0`."""
        pixels = self._frame(picture_HW3).network_input(picture_HW3).to(self._device)
        return {"map0": self._model.image_encoder(pixels).cpu().numpy().astype(np.float16)}

    @torch.inference_mode()
    def logits(self, picture_HW3: NDArray[np.uint8], embedding: Embedding, prompt: Prompt) -> tuple[Tensor, float]:
        """Mask logits at the size of the picture, and the network's opinion of the mask."""
        frame, asked = self._frame(picture_HW3), refined(prompt)
        features = torch.from_numpy(embedding["map0"]).to(self._device).float()
        points, box = points_of(asked, frame), box_of(asked, frame)
        cells = 4 * features.shape[-1]
        mask = None if asked.mask_HW is None else frame.mask_prompt(asked.mask_HW, cells).to(self._device)
        sparse, dense = self._model.prompt_encoder(
            points=None if points is None else (points[0][None].to(self._device), points[1][None].to(self._device)),
            boxes=None if box is None else box[None].to(self._device),
            masks=mask,
        )
        masks, scores = self._model.mask_decoder(
            image_embeddings=features,
            image_pe=self._model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=points is not None and len(points[1]) == 1 and box is None and mask is None,
        )
        best = int(scores[0].argmax())
        return frame.whole(masks[0, best].cpu()), float(scores[0, best].clamp(0, 1))

    def segment(self, picture_HW3: NDArray[np.uint8], embedding: Embedding, prompt: Prompt) -> Found:
        """The best of three answers to a single point, else the one answer."""
        return found_in(*self.logits(picture_HW3, embedding, prompt))

    def _frame(self, picture_HW3: NDArray[np.uint8]) -> Frame:
        height, width = picture_HW3.shape[:2]
        return Frame(height, width, int(self._model.image_encoder.img_size), keeps_aspect=True)


def load_segment_anything(path: Path, *, weights_sha256: str, device: torch.device) -> SegmentAnything:
    """SAM from an official `.pth`, by its own package.

    Raises:
        DataError: if the file is no official SAM.
        ToolError: if the package is missing.
    """
    tensors = read_official(path)
    shape = vision_shape(tensors, path)
    package = _package()
    model = package._build_sam(
        encoder_embed_dim=shape.width,
        encoder_depth=shape.layers,
        encoder_num_heads=shape.heads,
        encoder_global_attn_indexes=shape.global_layers,
    )
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise DataError(f"{path}: {str(error).splitlines()[-1].strip()}") from None
    return SegmentAnything(model, weights_sha256=weights_sha256, device=device)


def _package() -> ModuleType:
    with _stand_in():
        return importlib.import_module("segment_anything.build_sam")


@contextmanager
def _stand_in() -> Iterator[None]:
    """While inside, there is a torchvision to import from, real or not."""
    try:
        importlib.import_module("torchvision.ops.boxes")
    except (ImportError, RuntimeError, OSError):  # missing; or built for another torch
        before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "torchvision"}
    else:
        yield
        return
    try:
        sys.modules.update({name: _empty(name, functions) for name, functions in _STAND_INS.items()})
        yield
    finally:
        for name in _STAND_INS:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def _empty(name: str, functions: tuple[str, ...]) -> ModuleType:
    module = ModuleType(name)
    for function in functions:
        setattr(module, function, partial(_not_there, f"{name}.{function}"))
    return module


def _not_there(name: str, *_: object, **__: object) -> None:
    raise NotImplementedError(f"{name}: torchvision is not installed")
