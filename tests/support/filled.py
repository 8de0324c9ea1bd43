"""What a page does after a box on a server of ours: it asks again until all stills are there."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = ["ask_until_filled"]

_PATIENCE_S = 60.0


def ask_until_filled(ask: Callable[[dict[str, Any]], dict[str, Any]], answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The regions of a box's other stills, as they come.

    Args:
        ask: sends a context of a task to the service, and gives its answer.
        answer: to the box.
    """
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + _PATIENCE_S
    (result,) = answer["results"]
    while filling := result.get("filling"):
        assert time.monotonic() < deadline, filling
        (result,) = ask({"result": [], "filling": filling})["results"]
        found += result["result"]
        if not result["result"]:
            time.sleep(0.02)
    return found
