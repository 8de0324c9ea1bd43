"""Detectors of transformers that are asked in words: Grounding DINO and OWLv2.

Both are loaded from a folder of their official layout; what lies elsewhere is never fetched, and no code of the folder
runs.

Shapes: H, W pixels of a picture, Q queries of the network, C categories, L tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from avis_data.annotation.prelabel.engine import Detection, without_doubles
from avis_data.annotation.prelabel.folders import on_device, read_folder
from avis_data.annotation.prelabel.object_classes import words_of

__all__ = ["GroundingDino", "Owlv2", "load_grounding_dino", "load_owlv2"]

_GROUNDING_DINO_SCORE = 0.3
_OWLV2_SCORE = 0.2
"""The scores that the authors' own demonstrations begin at."""
_MOST_TOKENS = 256
"""So many of Grounding DINO's tokens are told apart; more categories are asked in parts."""


class GroundingDino:
    """Finds what a line of words names. Asking changes nothing in it."""

    name = "grounding-dino"

    def __init__(self, model: Any, processor: Any, *, weights_sha256: str, device: torch.device) -> None:
        """`model`: a GroundingDinoForObjectDetection; `processor`: its GroundingDinoProcessor."""
        self._model, self._processor, self._device = model.eval().to(device), processor, device
        self.weights_sha256 = weights_sha256

    def findable(self, categories: Sequence[str]) -> tuple[str, ...]:
        """All of them: anything can be said in words."""
        return tuple(categories)

    @torch.inference_mode()
    def detect(self, picture_HW3: NDArray[np.uint8], categories: Sequence[str]) -> list[Detection]:
        """A box is of the category whose words it fits best, as much as the best of these words."""
        given = self._processor.image_processor(images=[Image.fromarray(picture_HW3)], return_tensors="pt")
        found: list[Detection] = []
        for part, ids, spans in self._lines(categories):
            text = torch.tensor([ids], device=self._device)
            answer = self._model(
                pixel_values=given["pixel_values"].to(self._device),
                pixel_mask=given["pixel_mask"].to(self._device),
                input_ids=text,
                attention_mask=torch.ones_like(text),
                token_type_ids=torch.zeros_like(text),
            )
            chances_QL = answer.logits[0].sigmoid()
            scores_QC = torch.stack([chances_QL[:, first:last].amax(dim=1) for first, last in spans], dim=1)
            found += _detections(
                scores_QC, answer.pred_boxes[0], part, picture_HW3.shape[:2], least=_GROUNDING_DINO_SCORE
            )
        return without_doubles(found)

    def _lines(self, categories: Sequence[str]) -> list[tuple[list[str], list[int], list[tuple[int, int]]]]:
        """Categories, the tokens of `person. dog.`, and which of them are each one's words."""
        tokenizer = self._processor.tokenizer
        (stop,) = tokenizer.encode(".", add_special_tokens=False)
        lines: list[tuple[list[str], list[int], list[tuple[int, int]]]] = []
        for category in categories:
            words = tokenizer.encode(words_of(category), add_special_tokens=False)
            if not lines or len(lines[-1][1]) + len(words) + 2 > _MOST_TOKENS:
                lines.append(([], [tokenizer.cls_token_id], []))
            part, ids, spans = lines[-1]
            part.append(category)
            spans.append((len(ids), len(ids) + len(words)))
            ids += [*words, stop]
        for _, ids, _ in lines:
            ids.append(tokenizer.sep_token_id)
        return lines


class Owlv2:
    """Finds what each of some phrases names. Asking changes nothing in it."""

    name = "owlv2"

    def __init__(self, model: Any, processor: Any, *, weights_sha256: str, device: torch.device) -> None:
        """`model`: an Owlv2ForObjectDetection; `processor`: its Owlv2Processor."""
        self._model, self._processor, self._device = model.eval().to(device), processor, device
        self.weights_sha256 = weights_sha256

    def findable(self, categories: Sequence[str]) -> tuple[str, ...]:
        """All of them: anything can be said in words."""
        return tuple(categories)

    @torch.inference_mode()
    def detect(self, picture_HW3: NDArray[np.uint8], categories: Sequence[str]) -> list[Detection]:
        """A box is of the category whose phrase it fits best."""
        asked = [[f"a photo of a {words_of(category)}" for category in categories]]
        given = self._processor(text=asked, images=[Image.fromarray(picture_HW3)], return_tensors="pt")
        answer = self._model(**given.to(self._device))
        side = max(picture_HW3.shape[:2])  # the picture was padded to a square, at the right or below
        scores_QC = answer.logits[0].sigmoid()[:, : len(categories)]
        boxes = answer.pred_boxes[0]
        return without_doubles(
            _detections(scores_QC, boxes, categories, picture_HW3.shape[:2], least=_OWLV2_SCORE, whole=(side, side))
        )


def load_grounding_dino(folder: Path, *, weights_sha256: str) -> GroundingDino:
    """Grounding DINO from a folder: config.json, model.safetensors, preprocessor_config.json and the tokenizer's files.

    Raises:
        DataError: if it is none.
    """
    from transformers import GroundingDinoForObjectDetection, GroundingDinoProcessor

    model, processor = read_folder(folder, GroundingDinoForObjectDetection, GroundingDinoProcessor)
    return GroundingDino(model, processor, weights_sha256=weights_sha256, device=on_device())


def load_owlv2(folder: Path, *, weights_sha256: str) -> Owlv2:
    """OWLv2 from a folder: config.json, model.safetensors, preprocessor_config.json and the tokenizer's files.

    Raises:
        DataError: if it is none.
    """
    from transformers import Owlv2ForObjectDetection, Owlv2Processor

    model, processor = read_folder(folder, Owlv2ForObjectDetection, Owlv2Processor)
    return Owlv2(model, processor, weights_sha256=weights_sha256, device=on_device())


def _detections(
    scores_QC: Tensor,
    boxes_Q4: Tensor,
    categories: Sequence[str],
    size_hw: tuple[int, ...],
    *,
    least: float,
    whole: tuple[int, int] | None = None,
) -> list[Detection]:
    """The boxes of the best category each, where that is likely enough.

    Args:
        scores_QC: in [0, 1].
        boxes_Q4: middle x, y, width, height, as parts of what the network saw.
        categories: C names.
        size_hw: of the picture, to which boxes are cut.
        least: the least score.
        whole: height and width of what the network saw, in pixels of the picture; None: those of the picture.
    """
    height, width = size_hw[0], size_hw[1]
    seen_height, seen_width = whole or (height, width)
    best_Q, column_Q = scores_QC.max(dim=1)
    found = []
    for query in torch.nonzero(best_Q >= least).flatten().tolist():
        x, y, wide, high = (float(value) for value in boxes_Q4[query])
        x0, x1 = (min(max(side * seen_width, 0.0), float(width)) for side in (x - wide / 2, x + wide / 2))
        y0, y1 = (min(max(side * seen_height, 0.0), float(height)) for side in (y - high / 2, y + high / 2))
        if x1 > x0 and y1 > y0:
            category = categories[int(column_Q[query])]
            found.append(Detection(box=(x0, y0, x1, y1), category=category, score=float(best_Q[query])))
    return found
