"""Predicted masks as pictures, which `avis-data evaluate --task avs` reads.

Shapes: h, w pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from avis_data.metrics.avs_files import voc_colours

__all__ = ["mask_picture"]


def mask_picture(values_hw: NDArray[np.generic], num_classes: int) -> Image.Image:
    """One mask.

    Args:
        values_hw: float logits, of which a picture of probabilities is made, 0 to 255, above 127 where the probability
            is above one half; a true mask of 0 and 1, which becomes 0 and 255; or (`num_classes` > 1) classes, which
            become a picture in PASCAL VOC's colours whose palette indices are the classes.
    """
    if num_classes > 1:
        picture = Image.fromarray(values_hw.astype(np.uint8), mode="P")
        picture.putpalette(voc_colours(num_classes).astype(np.uint8).tobytes())
        return picture
    if values_hw.dtype.kind != "f":
        return Image.fromarray(values_hw.astype(np.uint8) * 255)
    probability = torch.from_numpy(values_hw.astype(np.float32)).sigmoid().numpy()
    return Image.fromarray(np.ceil(probability * 255 - 0.5).astype(np.uint8))
