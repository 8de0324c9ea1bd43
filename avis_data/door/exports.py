"""Exporting from Python: what a workspace holds becomes a dataset, in any of the export formats."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from avis_data.errors import DataError
from avis_data.paths import Workspace

__all__ = ["export", "export_formats"]


def export_formats() -> list[str]:
    """The names of the formats that `export` knows.

    Example:
        >>> avis.export_formats()[:6]
        ['ytvis', 'avsbench-s4', 'avsbench-ms3', 'coco', 'mots', 'davis']
    """
    from avis_data.pipelines.exports import FORMATS

    return FORMATS.names()


def export(
    workspace: str | Path,
    format: str = "ytvis",
    *,
    split: str | None = None,
    name: str | None = None,
    seed: int = 0,
    select: Literal["accepted", "all"] = "accepted",
    include: Literal["draft"] | None = None,
    force: bool = False,
    **options: object,
) -> Path:
    """Write a dataset that others can read: splits, stills, sound, features, truth, and a certificate.

    The same export again does nothing. Everything is read back and compared before the export gets its name.

    Args:
        workspace: its folder.
        format: of `export_formats`.
        split: sizes of train/val/test, as "616/105/205" or "75/25"; None: those of the list, else of the recipe.
        name: the folder below `exports/`; None: the name of the format.
        seed: of the division.
        select: clips with accepted truth only, or the others too, without annotations.
        include: "draft": labels that nobody accepted yet are truth too.
        force: replace an export of the same name.
        options: the format's own options, as `masks="rle"` of ytvis or `sound="logmel"` of avsbench.

    Returns:
        The folder of the export, for `avis.open` and `avis.train`.

    Raises:
        ConfigError: if the folder is no workspace, there is no such format, option or division, or another export has
            this name.
        DataError: if there is nothing to export, or inputs are missing or damaged.
        ProblemsError: with everything that does not fit together.
        BusyError: if a command is at work in the workspace.

    Example:
        >>> avis.open(avis.export("example", split="6/3/3", name="other", masks="rle"))
        ClipSet('example/exports/other', 12 clips: train 6, val 3, test 3)
        >>> avis.export("example", "yolo")
        Traceback (most recent call last):
        avis_data.errors.ConfigError: no export format 'yolo'; there are: ytvis, avsbench-s4, avsbench-ms3, coco, ...
    """
    from avis_data.annotation.labels.tables import bring_up_to_date
    from avis_data.pipelines.exports import FORMATS
    from avis_data.pipelines.exports.plan import ExportOptions
    from avis_data.pipelines.exports.publish import export as publish

    spec = FORMATS[format].with_options(**options)
    place = Workspace(Path(workspace))
    if not place.root.exists():
        raise DataError(f"{place.root}: no such folder")
    wanted = ExportOptions(split=split, name=name, seed=seed, select=select, include=include, force=force)
    bring_up_to_date(place, command="avis.export")
    return place.root / publish(place, spec, wanted).path
