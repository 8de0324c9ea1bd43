"""Windows of frames for the tracker: which frames attend to each other, in plain and in shifted layers.

Shapes: N clips, T frames (padded to whole windows), W frames of a window, V windows, Q tokens of a frame, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["WindowLayout", "padded_frames", "window_layout"]


@dataclass(frozen=True, kw_only=True)
class WindowLayout:
    """How a clip is cut into windows in one layer."""

    frames_VW: Tensor
    """Frame indices of every window, int64."""
    visible_VWW: Tensor
    """Bool, [window, looking frame, seen frame]; False between the two ends of the clip and towards padded frames."""
    free_V: tuple[bool, ...]
    """Whether everything is visible in a window, so that it needs no mask."""

    def runs(self, at_most: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """The windows in groups of at most that many: the frame indices (V, W), and the mask (V, W, W) or None.

        Only the first and the last window can need a mask, so long clips run almost wholly without one.
        """
        start = 0
        while start < len(self.free_V):
            stop = start + 1
            while stop < min(start + at_most, len(self.free_V)) and self.free_V[stop] == self.free_V[start]:
                stop += 1
            yield self.frames_VW[start:stop], None if self.free_V[start] else self.visible_VWW[start:stop]
            start = stop


def padded_frames(num_frames: int, window: int) -> int:
    """The number of frames rounded up to whole windows; without windows (0) it is the number itself."""
    return -(-num_frames // window) * window if window else num_frames


@lru_cache(maxsize=64)  # a copy to a GPU for each layer would make it wait each time
@torch.inference_mode(False)  # what is made in inference could not be kept for gradients
def window_layout(
    num_frames: int, window: int, *, shifted: bool, padded: bool = True, device: torch.device | str = "cpu"
) -> WindowLayout:
    """Cut a clip into windows.

    In a shifted layer the frames are rolled right by half a window, rounded up. The first window then joins the end and
    the start of the clip, which do not see each other. A padded frame is seen by none; where it would see nothing
    itself it sees everything, so that no softmax is empty (nothing reads what comes out of it).

    Args:
        num_frames: real frames; those after them, up to whole windows, are padding.
        window: frames of a window; 0: none, every frame sees the whole clip in every layer.
        shifted: whether the windows of this layer lie half a window further.
        padded: whether there are such frames after them; a clip of less than one window can do without.

    Source: Heo et al., VITA (2022), section 3.2; AVISM (CVPR 2025), window attention.
    """
    total = padded_frames(num_frames, window)
    shift = -(-window // 2) if shifted else 0
    window = window or num_frames
    frames_VW = (torch.arange(total) - shift).remainder(total).view(-1, window)
    visible = (frames_VW < num_frames)[:, None, :].expand(-1, window, -1).clone()
    if shift:
        wrapped_W = torch.arange(window) < shift
        visible[0] &= wrapped_W[:, None] == wrapped_W[None, :]
    if total > num_frames and not padded:
        real_W = frames_VW[0] < num_frames
        frames_VW, visible = frames_VW[:, real_W], visible[:, real_W][:, :, real_W]
    visible |= ~visible.any(dim=2, keepdim=True)
    free = tuple(visible.flatten(1).all(dim=1).tolist())
    return WindowLayout(frames_VW=frames_VW.to(device), visible_VWW=visible.to(device), free_V=free)
