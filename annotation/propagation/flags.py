"""Which of the carried masks a person should look at, and why."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from avis_data.annotation.labels.records import Flag
from avis_data.annotation.propagation.carry import Arrival, CarriedClip, Drawn
from avis_data.masks.rle import Rle, area, box

__all__ = ["DOUBTFUL", "flags_of"]

DOUBTFUL = 0.6
"""Below that confidence a mask is flagged; on synthetic clips 9 of 10 masks with an IoU under 0.8 are (docs)."""
_DISAGREEMENT = 0.7
"""IoU of what came from both sides, below which one of them is wrong."""
_AREA_RATIO = 1.6
"""How much larger or smaller an object may get from one still to the next."""
_JUMP = 0.8
"""How far an object may move from one still to the next, as a part of its own extent (the root of its box's area)."""


def flags_of(carried: CarriedClip, drawn: Drawn) -> tuple[Flag, ...]:
    """The stills that need a look, by still, then by identity."""
    flags = [
        Flag(frame=frame, identity=None, reason="scene_cut", message="another scene, nothing is carried over it")
        for frame in carried.cuts
    ]
    for identity, arrivals in carried.arrivals.items():
        flags += _lost(identity, arrivals)
        flags += _doubtful(identity, arrivals, drawn.get(identity, {}))
    return tuple(sorted(flags, key=lambda flag: (flag.frame, flag.identity or "", flag.reason)))


def _lost(identity: str, arrivals: Mapping[int, Arrival]) -> Iterator[Flag]:
    """One flag for each run of stills that the object was not found on."""
    run: list[int] = []
    for frame in sorted(arrivals):
        if arrivals[frame].rle is not None:
            continue
        if run and frame != run[-1] + 1:
            yield _lost_flag(identity, run)
            run = []
        run.append(frame)
    if run:
        yield _lost_flag(identity, run)


def _lost_flag(identity: str, run: Sequence[int]) -> Flag:
    until = "" if len(run) == 1 else f" to page {run[-1] + 1}"
    return Flag(frame=run[0], identity=identity, reason="lost", message=f"not found{until and ' from here' + until}")


def _doubtful(identity: str, arrivals: Mapping[int, Arrival], drawn: Mapping[int, Rle]) -> Iterator[Flag]:
    for frame, arrival in sorted(arrivals.items()):
        if arrival.rle is None:
            continue
        reason, message = _doubt(arrival, _towards(frame, arrival, arrivals, drawn))
        if reason:
            yield Flag(frame=frame, identity=identity, reason=reason, message=message)


def _towards(frame: int, arrival: Arrival, arrivals: Mapping[int, Arrival], drawn: Mapping[int, Rle]) -> Rle | None:
    """The mask of the next still in the direction of the drawn one."""
    nearer = frame + (1 if arrival.from_frame > frame else -1)
    if nearer in drawn:
        return drawn[nearer]
    return arrivals[nearer].rle if nearer in arrivals else None


def _doubt(arrival: Arrival, nearer: Rle | None) -> tuple[str, str]:
    """The gravest reason to doubt a mask, and its words; empty where there is none."""
    if arrival.agreement is not None and arrival.agreement < _DISAGREEMENT:
        return "confidence", "from before and from after it comes out differently"
    if arrival.confidence < DOUBTFUL:
        return "confidence", f"unsure ({arrival.confidence:.2f})"
    if arrival.rle is None or nearer is None:
        return "", ""
    ratio = area(arrival.rle) / max(1, area(nearer))
    if not 1 / _AREA_RATIO < ratio < _AREA_RATIO:
        return "area", f"{'grew' if ratio > 1 else 'shrank'} to {100 * ratio:.0f} % of the still before"
    moved = _moved(arrival.rle, nearer)
    return ("position", f"moved by {moved:.1f} of its size") if moved > _JUMP else ("", "")


def _moved(a: Rle, b: Rle) -> float:
    ax, ay, aw, ah = box(a)
    bx, by, bw, bh = box(b)
    distance = math.hypot(ax + aw / 2 - bx - bw / 2, ay + ah / 2 - by - bh / 2)
    return distance / math.sqrt(max(1, aw * ah, bw * bh))
