"""Pieces of a page as HTML text. Every text that comes from data goes through `text`; nothing loads from a network."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from importlib.resources import files

from PIL import Image

__all__ = ["colour_key", "document", "download", "image", "large_figures", "share_bar", "table", "text"]


def text(value: object) -> str:
    """Any value as text that no browser takes for markup, also inside quoted attributes."""
    return html.escape(str(value), quote=True)


def document(title: str, sections: Iterable[str]) -> str:
    """A whole page; it needs no scripts and no other file, and forbids itself to load any."""
    style = files("avis_data.report").joinpath("page.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
    body = "\n".join(sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def image(picture: Image.Image, *, alternative: str) -> str:
    """A picture inside the page, as WebP (which keeps transparent paper and is a fifth of PNG's size)."""
    data = io.BytesIO()
    picture.save(data, format="WEBP", quality=86, method=4)
    coded = base64.b64encode(data.getvalue()).decode("ascii")
    width, height = picture.size
    return (
        f'<img src="data:image/webp;base64,{coded}" width="{width}" height="{height}" '
        f'loading="lazy" alt="{text(alternative)}">'
    )


def download(name: str, data: bytes, *, kind: str, words: str) -> str:
    """A link by which a file that the page holds is saved.

    Args:
        name: of the file.
        data: what it holds.
        kind: its media type.
        words: of the link.
    """
    coded = base64.b64encode(data).decode("ascii")
    return f'<a download="{text(name)}" href="data:{text(kind)};base64,{coded}">{text(words)}</a>'


def table(
    head: Sequence[str], rows: Sequence[Sequence[object]], *, total: bool = False, ends_in_words: bool = False
) -> str:
    """A table; its first column holds names, the others numbers.

    Args:
        head: names of the columns.
        rows: their cells.
        total: whether the last row is the sum.
        ends_in_words: whether the last column holds sentences.
    """
    words = ' style="text-align:left;white-space:normal"'
    last = len(head) - 1 if ends_in_words else -1

    def cells(tag: str, row: Sequence[object]) -> str:
        return "".join(f"<{tag}{words if n == last else ''}>{text(value)}</{tag}>" for n, value in enumerate(row))

    lines = []
    for number, row in enumerate(rows):
        kind = ' class="total"' if total and number == len(rows) - 1 else ""
        lines.append(f"<tr{kind}>{cells('td', row)}</tr>")
    top = f"<thead><tr>{cells('th', head)}</tr></thead>"
    return f'<div class="scroll"><table>{top}<tbody>{"".join(lines)}</tbody></table></div>'


def colour_key(entries: Iterable[tuple[str, str]]) -> str:
    """What colours mean: (name, CSS colour) each."""
    chips = (f'<span><i class="chip" style="background:{colour}"></i>{text(name)}</span>' for name, colour in entries)
    return f'<div class="key">{"".join(chips)}</div>'


def large_figures(entries: Iterable[tuple[str, str]]) -> str:
    """The figures at the top of a page: (value, what it is) each."""
    items = "".join(f"<li><b>{text(value)}</b><span>{text(name)}</span></li>" for value, name in entries)
    return f'<ul class="figures">{items}</ul>'


def share_bar(parts: Sequence[tuple[float, str, str]]) -> str:
    """A bar of several parts: (share of the full width in [0, 1], CSS colour of ours, what it means)."""
    pieces = "".join(
        f'<i style="width:{100 * share:.3f}%;background:{colour}" title="{text(meaning)}"></i>'
        for share, colour, meaning in parts
        if share > 0
    )
    return f'<div class="bar">{pieces}</div>'
