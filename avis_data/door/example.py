"""A small synthetic dataset to try things on: a workspace and its export, with exact truth."""

from __future__ import annotations

from pathlib import Path

from avis_data.door.exports import export
from avis_data.door.stages import run_stage
from avis_data.errors import DataError
from avis_data.paths import Workspace

__all__ = ["make_example"]


def make_example(
    folder: str | Path,
    *,
    clips: int = 12,
    seconds: int = 4,
    size: tuple[int, int] = (96, 64),
    seed: int = 1,
    split: str = "8/2/2",
) -> Path:
    """Make a small synthetic dataset by the stages that make real ones; takes some seconds, and again nothing.

    The folder is then a workspace; `world/` in it has the videos and their exact truth, `exports/ytvis` the dataset.
    The embeddings are from an untrained network, and say so.

    Args:
        folder: made if it is missing.
        clips: how many.
        seconds: length of each; one still for each second.
        size: width and height of the pictures, even numbers from 64 on.
        seed: the same seed, the same dataset.
        split: numbers of clips in train, val and test.

    Returns:
        The folder of the export: for `avis.open` and `avis.train`.

    Raises:
        ConfigError: for numbers that cannot be.
        ToolError: if ffmpeg is missing.
        DataError: if a clip could not be made.

    Example:
        >>> avis.open(avis.make_example("small", clips=3, seconds=2, split="1/1/1"))
        ClipSet('small/exports/ytvis', 3 clips: train 1, val 1, test 1)
    """
    from avis_data.pipelines.engine.lock import open_for_work
    from avis_data.pipelines.imports.truth import import_ytvis
    from avis_data.synth.scene import WorldOptions
    from avis_data.synth.world import make_world

    workspace = Workspace(Path(folder))
    world = workspace.root / "world"
    options = WorldOptions(seed=seed, num_seconds=seconds, width=size[0], height=size[1], fps=8)
    make_world(options, world, num_clips=clips)
    reports = run_stage(workspace.root, "fetch", videos=world / "videos.csv", allow_local=True)
    reports += run_stage(workspace.root, "extract")
    reports += run_stage(workspace.root, "embed", untrained=True)
    for report in reports:
        if report.failed or report.stopped:
            raise DataError(f"{workspace.root}: the stage {report.stage} failed: {report.stopped or report.failed}")
    with open_for_work(workspace, "avis.make_example") as ledger:
        import_ytvis(workspace, world / "truth.json", ledger=ledger)
    return export(workspace.root, split=split, seed=seed)
