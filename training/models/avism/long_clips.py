"""A clip for the tracker: a short one at once, of a long one a few windows at a time.

The tokens of a long clip lie in a file. The result is that of `Tracker.forward` but for rounding: windows are those of
its layers, and what the video queries read of all frames is summed up over pieces of them.

Shapes: T frames, n frames of a piece, Q frame queries, C channels, A audio channels, V windows of W frames.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import IO, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avis_data.training.models.attention import AttentionBlock
from avis_data.training.models.avism.kept_pixels import DISK_RESERVE
from avis_data.training.models.avism.tracker import Tracker, VideoHead, token_mask
from avis_data.training.models.avism.windows import WindowLayout, padded_frames, window_layout

__all__ = ["KeptTokens", "LongClip", "ShortClip"]

_WINDOWS_AT_ONCE = 8
_FRAMES_AT_ONCE = 48
"""In the object decoder: 15 MB of attention weights for 100 queries of frames and of videos each, and 8 heads."""


class ShortClip:
    """The frame queries of a clip, all in memory."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._queries: list[Tensor] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._queries.clear()

    def add(self, queries_nQC: Tensor) -> None:
        """The frame queries of the next frames."""
        self._queries.append(queries_nQC)

    def head(self, audio_TA: Tensor | None) -> VideoHead:
        """What the tracker says when all frames were added."""
        queries = torch.cat(self._queries)[None, None]
        audio_BTA = None if audio_TA is None else audio_TA[None].to(queries.device)
        output = self._tracker(queries, audio_BTA)
        head: VideoHead = output.heads[-1]
        return head


class LongClip:
    """The same for a clip whose tokens wait on the disk: in memory are a few windows, and 1 kB a frame of its sound."""

    def __init__(self, tracker: Tracker, num_frames: int) -> None:
        self._tracker = tracker
        self._num_frames = num_frames
        whole = num_frames < tracker.window  # as in `Tracker.forward`
        total = num_frames if whole else padded_frames(num_frames, tracker.window)
        queries, channels = tracker.decoder.key_position.weight.shape
        self._tokens = KeptTokens(total, (queries, channels))
        self._device = tracker.decoder.key_position.weight.device
        self._added = 0

    def __enter__(self) -> Self:
        self._tokens.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._tokens.__exit__()

    @torch.no_grad()
    def add(self, queries_nQC: Tensor) -> None:
        """The frame queries of the next frames."""
        frames = torch.arange(self._added, self._added + len(queries_nQC))
        self._tokens.write(frames, self._tracker.input_proj(queries_nQC))
        self._added += len(queries_nQC)

    @torch.no_grad()
    def head(self, audio_TA: Tensor | None) -> VideoHead:
        """What the tracker says when all frames were added; the tokens are of no use after it."""
        self._encode()
        if self._tracker.fusion is not None:
            if audio_TA is None:
                raise ValueError("this tracker has the audio-visual fusion and needs audio")
            self._fuse(audio_TA.to(self._device))
        states = self._tracker.decoder.states(self._read_all, entries=1)
        head = self._tracker.video_head(states[-1], layers=1, clips=1)
        return replace(head, sounding_LBPT=self._sounding(states[-1], audio_TA), there_LBPT=self._there(head))

    def _sounding(self, state_1PC: Tensor, audio_TA: Tensor | None) -> Tensor | None:
        if self._tracker.sounding is None:
            return None
        audio_TA = None if audio_TA is None or self._tracker.fusion is None else audio_TA.to(self._device)
        said = [
            self._tracker.sounding(state_1PC, tokens_nQC[None], None if audio_TA is None else audio_TA[frames][None])
            for frames, tokens_nQC in self._pieces()
        ]
        return torch.cat(said, dim=2)[None]

    def _there(self, head: VideoHead) -> Tensor:
        said = [
            self._tracker.there(head.similarity_LBPC[0], tokens_nQC[None]).to("cpu") for _, tokens_nQC in self._pieces()
        ]
        return torch.cat(said, dim=2)[None]

    def _encode(self) -> None:
        """The object encoder, in place: a window reads and writes its own frames."""
        encoder = self._tracker.encoder
        for index in range(len(encoder.attention)):
            layout = self._layout(shifted=encoder.shifted(index))
            for frames_VW, visible_VWW in layout.runs(_WINDOWS_AT_ONCE):
                windows = self._windows(frames_VW)
                mask = self._mask(visible_VWW, rows=self._tokens.queries)
                self._tokens.write(frames_VW, encoder.window_layer(index, windows, mask))

    def _fuse(self, audio_TA: Tensor) -> None:
        """The video-level fusion; what it adds to the tokens of a frame is added in the file."""
        fusion = self._tracker.fusion
        assert fusion is not None  # asked by the caller
        stream_TC = fusion.start(audio_TA[None], self._tokens.frames)[0]
        for index in range(len(fusion.attention)):
            after_TC = torch.empty_like(stream_TC, dtype=torch.promote_types(stream_TC.dtype, torch.float32))
            for frames_VW, visible_VWW in self._layout(shifted=index % 2 == 1).runs(_WINDOWS_AT_ONCE):
                audio_VWC = stream_TC[frames_VW.to(self._device)]
                mask = self._mask(visible_VWW, rows=1)
                audio_VWC = fusion.window_layer(index, audio_VWC, self._windows(frames_VW), mask)
                after_TC[frames_VW.flatten().to(self._device)] = audio_VWC.flatten(0, 1).to(after_TC.dtype)
            stream_TC = after_TC
        for frames, tokens_nQC in self._pieces():
            self._tokens.write(frames, tokens_nQC + stream_TC[frames[0] : frames[-1] + 1, None])

    def _read_all(self, block: AttentionBlock, state_NPC: Tensor, query_NPC: Tensor) -> Tensor:
        """The state after a cross-attention of the object decoder to the tokens of all frames."""
        position = self._tracker.decoder.key_position.weight
        pieces = (
            ((tokens_nQC + position).flatten(0, 1)[None], tokens_nQC.flatten(0, 1)[None])
            for _, tokens_nQC in self._pieces()
        )
        return block.over_pieces(state_NPC, query_NQC=query_NPC, pieces=pieces)

    def _pieces(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The tokens of the real frames in order, with the indices of these."""
        for frames in torch.split(torch.arange(self._num_frames), _FRAMES_AT_ONCE):
            yield frames, self._tokens.read(frames).to(self._device)

    def _windows(self, frames_VW: Tensor) -> Tensor:
        tokens = self._tokens.read(frames_VW).to(self._device)
        return torch.unflatten(tokens, 0, tuple(frames_VW.shape)).flatten(1, 2)

    def _layout(self, *, shifted: bool) -> WindowLayout:
        padded = self._tokens.frames > self._num_frames
        return window_layout(self._num_frames, self._tracker.window, shifted=shifted, padded=padded)

    def _mask(self, visible_VWW: Tensor | None, *, rows: int) -> Tensor | None:
        mask = token_mask(visible_VWW, 1, rows=rows, columns=self._tokens.queries)
        return None if mask is None else mask.to(self._device)


class KeptTokens:
    """A context in which the tokens of all frames are kept, float32, zeros where none were written.

    They are in a file without a name, which ends with this process, however that ends; where the disk of temporary
    files has no room for it, in memory.
    """

    def __init__(self, frames: int, shape: tuple[int, int]) -> None:
        """`shape`: tokens of a frame, and their channels."""
        self.frames = frames
        self.queries = shape[0]
        self._shape = shape
        self._in_memory: NDArray[np.float32] | None = None
        self._file: IO[bytes] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        size = self.frames * self._frame_bytes
        try:
            if shutil.disk_usage(tempfile.gettempdir()).free >= size + DISK_RESERVE:
                self._file = self._stack.enter_context(tempfile.TemporaryFile())
                if hasattr(os, "posix_fallocate"):  # not on macOS; maps of frames will ask for the same room
                    os.posix_fallocate(self._file.fileno(), 0, size)
                self._file.truncate(size)
        except OSError:
            self._file = None
        if self._file is None:
            self._in_memory = np.zeros((self.frames, *self._shape), dtype=np.float32)
        return self

    def __exit__(self, *_: object) -> None:
        self._in_memory = None
        self._stack.close()

    def write(self, frames: Tensor, tokens: Tensor) -> None:
        """Keep the tokens of frames, in the order of their indices; both of any shape."""
        values = tokens.reshape(-1, *self._shape).to("cpu", torch.float32).contiguous().numpy()
        for place, start, count in _runs(frames):
            if self._in_memory is not None:
                self._in_memory[start : start + count] = values[place : place + count]
            else:
                self._at(start).write(values[place : place + count].data.cast("B"))

    def read(self, frames: Tensor) -> Tensor:
        """The tokens of frames, (n, Q, C), n the number of their indices."""
        values = np.empty((frames.numel(), *self._shape), dtype=np.float32)
        for place, start, count in _runs(frames):
            part = values[place : place + count]
            if self._in_memory is not None:
                part[:] = self._in_memory[start : start + count]
            else:
                part[:] = np.frombuffer(self._at(start).read(part.nbytes), dtype=np.float32).reshape(part.shape)
        return torch.from_numpy(values)

    @property
    def _frame_bytes(self) -> int:
        return 4 * self._shape[0] * self._shape[1]

    def _at(self, frame: int) -> IO[bytes]:
        assert self._file is not None  # where it is in memory nobody asks
        self._file.seek(frame * self._frame_bytes)
        return self._file


def _runs(frames: Tensor) -> Iterator[tuple[int, int, int]]:
    """Frames that lie one after the other: the place of the first one among the indices, its index, how many."""
    indices = frames.flatten().numpy()
    ends = [*(np.flatnonzero(np.diff(indices) != 1) + 1).tolist(), len(indices)]
    for place, end in zip([0, *ends[:-1]], ends, strict=True):
        yield place, int(indices[place]), end - place
