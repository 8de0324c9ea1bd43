"""How much of an answer is read: no more than the recipe allows, not for ever, and nothing that swells up in memory."""

from __future__ import annotations

import time
from typing import Any

from avis_data.errors import ItemError, Reason
from avis_data.recipe import FetchOptions

__all__ = ["limit"]

_BLOCK = 1 << 16
_RATE_OVER_S = 30.0
"""A rate is measured over so many seconds of waiting."""
_LARGEST_PAGE_MB = 64
"""Of what is read into memory in one piece: pages, play lists, keys."""
_GROWTH_FROM = 1_000_000
"""Bytes; growth is no matter where all of it is small."""


def limit(response: Any, options: FetchOptions) -> Any:
    """The answer itself, whose body from now on is read within the limits.

    Args:
        response: what yt-dlp's `urlopen` gives. What reads it later gets an `ItemError`, `too_large` or `timeout`.
        options: `max_size_mb`, `min_rate_kb_s` and `max_growth`.
    """
    if hasattr(response, "_real_read"):  # the others hold their content already
        response._real_read = _Body(response.fp, options).read
    return response


class _Body:
    def __init__(self, raw: Any, options: FetchOptions) -> None:
        self._raw, self._options = raw, options
        self._is_encoded = raw.headers.get("Content-Encoding", "identity").lower() != "identity"
        self._size = 0
        self._waited_s = 0.0
        self._marked_size, self._marked_s = 0, 0.0

    def read(self, amount: int | None = None) -> bytes:
        """So many bytes, less only at the end; None: all."""
        whole = bytearray()
        while amount is None or len(whole) < amount:
            began = time.monotonic()
            # One answer of the socket at a time: a read of many bytes would hide how slowly they come.
            block = self._raw.read1(_BLOCK if amount is None else min(amount - len(whole), _BLOCK), decode_content=True)
            self._waited_s += time.monotonic() - began
            if not block:
                break
            whole += block
            self._size += len(block)
            try:
                self._check(len(whole) if amount is None else 0)
            except ItemError:
                self._raw.close()
                raise
        return bytes(whole)

    def _check(self, in_memory: int) -> None:
        options = self._options
        if in_memory > _LARGEST_PAGE_MB * 1_000_000:
            raise ItemError(f"a page or play list of more than {_LARGEST_PAGE_MB} MB", reason=Reason.TOO_LARGE)
        if options.max_size_mb is not None and self._size > options.max_size_mb * 1_000_000:
            message = f"larger than fetch.max_size_mb ({options.max_size_mb} allowed), and it goes on"
            raise ItemError(message, reason=Reason.TOO_LARGE)
        received = self._raw.tell()  # as it came over the wire
        if self._is_encoded and self._size > max(_GROWTH_FROM, received * options.max_growth):
            message = (
                f"the server sent {received / 1e6:.2f} MB that unpack to {self._size / 1e6:.0f} MB and more; "
                f"fetch.max_growth allows {options.max_growth} times as much"
            )
            raise ItemError(message, reason=Reason.TOO_LARGE)
        self._check_rate(received)

    def _check_rate(self, received: int) -> None:
        slowest, seconds = self._options.min_rate_kb_s, self._waited_s - self._marked_s
        if slowest is None or seconds < _RATE_OVER_S:
            return
        rate = (received - self._marked_size) / 1000 / seconds
        if rate < slowest:
            message = f"{rate:.2f} kB/s for {seconds:.0f} s, slower than fetch.min_rate_kb_s ({slowest:g})"
            raise ItemError(message, reason=Reason.TIMEOUT)
        self._marked_size, self._marked_s = received, self._waited_s
