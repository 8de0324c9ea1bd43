"""All that needs a look as one HTML page: each with its still, its masks and a link to its task, worst first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from avis_data import __version__
from avis_data.errors import ConfigError, DataError
from avis_data.io import write_text
from avis_data.masks.rle import Rle
from avis_data.report.clips import ClipView, TrackView
from avis_data.report.html import document, image, large_figures, text
from avis_data.report.sheet import still_with_masks

__all__ = ["ProblemItem", "write_problems_page"]

_WIDTH_PX = 320
_MOST = 300
"""So many are drawn; all of them are in the JSON."""


@dataclass(frozen=True, kw_only=True)
class ProblemItem:
    """One thing that a person should look at."""

    source: str
    """`problem`, `flag`, `disagreement`, `remark` or `label error`."""
    kind: str
    clip_id: str
    round: str | None
    annotator: str | None
    identity: str | None
    still: int | None
    """From 0."""
    message: str
    severity: float
    """In [0, 1]; the worst first."""
    task: str | None
    """Address of the task on the server, if it is known."""
    picture: Path | None
    """The still, as a file."""
    masks: tuple[tuple[str, Rle], ...] = ()
    """What is labelled on it, by the names of the objects."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {name: value for name, value in self.__dict__.items() if name not in ("picture", "masks")}


def write_problems_page(items: Sequence[ProblemItem], out: Path, *, title: str) -> None:
    """Write the page: one file that loads nothing. Stills that cannot be read are left out, and the text says so.

    Args:
        items: the worst first; the first 300 are drawn.
        out: the page.
        title: of the page, as the name of the workspace.

    Raises:
        ConfigError: if `out` is a folder.
    """
    if out.is_dir():
        raise ConfigError(f"{out}: is a folder", hint=f"--html {out / 'problems.html'}")
    shown = items[:_MOST]
    counts = Counter(item.source for item in items)
    figures = [
        (f"{len({item.clip_id for item in items})}", "clips"),
        *((f"{n}", f"{s}s") for s, n in sorted(counts.items())),
    ]
    more = (
        f"<p class='soft'>and {len(items) - len(shown)} more; all of them with --json.</p>"
        if len(items) > len(shown)
        else ""
    )
    head = (
        f"<header><h1>To look at: {text(title)}</h1><p class='soft'>What pulling found, what propagation flagged, where"
        f" people differ, and tracks that look like errors. The worst first.</p>{large_figures(figures)}</header>"
    )
    nothing = [] if items else ["<p>Nothing needs a look.</p>"]
    foot = f"<footer>Written by avis-data {text(__version__)}. This page loads nothing from a network.</footer>"
    write_text(out, document(f"To look at: {title}", [head, *nothing, *map(_article, shown), more, foot]))


def _article(item: ProblemItem) -> str:
    where = [item.identity or "", "" if item.still is None else f"page {item.still + 1}"]
    who = " · ".join(text(part) for part in (item.round, item.annotator) if part)
    link = f'<a href="{text(item.task)}" rel="noreferrer">open the task</a>' if _is_address(item.task) else ""
    place = ", ".join(text(part) for part in where if part)
    what = f"{text(item.source)}: {text(item.kind)}"
    top = f"<h3>{text(item.clip_id)}</h3><span class='soft'>{what}</span><span>{place}</span>"
    return (
        f"<article><div class='top'>{top}{link}</div><p>{text(item.message)}</p>{_picture(item)}"
        f"<p class='soft'>{who}</p></article>"
    )


def _is_address(task: str | None) -> bool:
    """A settings file may hold anything; nothing but a page of a server becomes a link."""
    return task is not None and task.startswith(("http://", "https://"))


def _picture(item: ProblemItem) -> str:
    if item.picture is None:
        return ""
    tracks = tuple(TrackView(label=name, masks=(rle,)) for name, rle in item.masks)
    view = ClipView(name=item.clip_id, split="", stills=(item.picture,), sound=None, tracks=tracks)
    try:
        drawn = still_with_masks(view, 0, width_px=_WIDTH_PX)
    except DataError as error:
        return f"<p class='soft'>{text(error)}</p>"
    page = "" if item.still is None else f", page {item.still + 1}"
    return f"<div style='max-width:{_WIDTH_PX}px'>{image(drawn, alternative=f'{item.clip_id}{page}')}</div>"
