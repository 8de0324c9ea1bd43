"""Reading and writing dataset files, by `str` paths."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avis_data.formats.ytvis import MaskForm, YtvisDataset

__all__ = ["read_ytvis", "write_ytvis"]


def read_ytvis(path: str | Path) -> YtvisDataset:
    """The content of a truth file in the YouTube-VIS / AVISeg format, ours or foreign.

    Raises:
        DataError: if the file is missing or no JSON.
        ProblemsError: with everything that is wrong in it.

    Example:
        >>> dataset = avis.read_ytvis("example/exports/ytvis/val.json")
        >>> len(dataset.videos), dataset.videos[0].length, dataset.categories[0].name
        (2, 4, 'person')
    """
    from avis_data.formats.ytvis import read_ytvis as read

    return read(Path(path))


def write_ytvis(path: str | Path, dataset: YtvisDataset, *, form: MaskForm = "polygons") -> Path:
    """Write a truth file in the YouTube-VIS / AVISeg format, whole or not at all.

    Args:
        path: the file, `.json`.
        dataset: of `read_ytvis`, or of `clips.dataset()`.
        form: of the masks. `polygons`: all official programs read them; `rle`: much smaller, the official evaluation
            does not read it.

    Raises:
        DataError: if a mask is empty, or does not fit its video.

    Example:
        >>> dogs = avis.open("example/exports/ytvis").filter(lambda clip: any(t.category == "dog" for t in clip.tracks))
        >>> avis.write_ytvis("dogs.json", dogs.dataset()).name
        'dogs.json'
    """
    from avis_data.formats.ytvis import ytvis_json
    from avis_data.io import write_json

    write_json(Path(path), ytvis_json(dataset, form=form), indent=None)
    return Path(path)
