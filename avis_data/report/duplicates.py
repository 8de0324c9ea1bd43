"""The page of near-duplicates: stills of the two clips of each pair, side by side at the same moments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageOps

from avis_data.fingerprints.links import Link
from avis_data.io import write_text
from avis_data.media.stills import open_still
from avis_data.report.html import document, image, text

__all__ = ["write_duplicates_page"]

_SIZE = (160, 120)
_NUM_STILLS = 4
_MOST_PAIRS = 500


def write_duplicates_page(
    links: Sequence[Link], groups: Sequence[Sequence[str]], out: Path, *, still: Callable[[str, float], Path | None]
) -> None:
    """Write one HTML file with each pair of clips, a row of stills for each of the two.

    Args:
        links: the pairs; the first 500 are shown.
        groups: what they make.
        out: the page.
        still: the file of the still of a clip at a moment, in seconds; None where the clip has none then.

    Raises:
        DataError: if a still is missing or damaged.
    """
    shown = links[:_MOST_PAIRS]
    left_out = f", {len(links) - len(shown)} more pairs are not shown" if len(shown) < len(links) else ""
    head = f"<header><h1>Near-duplicates</h1><p>{len(links)} pair(s) in {len(groups)} group(s){left_out}</p></header>"
    write_text(out, document("Near-duplicates", [head, *(_pair(link, still) for link in shown)]))


def _pair(link: Link, still: Callable[[str, float], Path | None]) -> str:
    first_s = max(link.offset_s, 0.0)
    moments = [(first_s + step, first_s + step - link.offset_s) for step in range(_NUM_STILLS)]
    said = f"by {link.by}, likeness {link.likeness:.2f}, offset {link.offset_s:+.1f} s"
    mirrored = ", mirrored" if link.is_mirrored else ""
    rows = (
        _row(link.first, [still(link.first, moment) for moment, _ in moments]),
        _row(link.second, [still(link.second, moment) for _, moment in moments]),
    )
    return (
        f"<section><h2>{text(link.first)} and {text(link.second)}</h2><p>{said}{mirrored}</p>{''.join(rows)}</section>"
    )


def _row(clip_id: str, stills: Sequence[Path | None]) -> str:
    pictures = (_small(path) for path in stills if path is not None)
    shown = " ".join(image(picture, alternative=f"a still of {clip_id}") for picture in pictures)
    return f"<p>{text(clip_id)}<br>{shown}</p>"


def _small(path: Path) -> Image.Image:
    return ImageOps.contain(open_still(path), _SIZE)
