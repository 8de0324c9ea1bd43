"""Publish clips of five seconds in AVSBench's layout: cut, divided, checked, read back, certified, and only then named.

What differs from the export of whole clips is what is written; what makes it trustworthy is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from avis_data.errors import ConfigError, DataError
from avis_data.formats.avsbench import (
    NUM_FRAMES,
    SIDE_PX,
    AvsbenchName,
    AvsbenchSound,
    folder_of,
    table,
    table_rows,
)
from avis_data.io import sha256_file, write_text
from avis_data.ledger import Ledger
from avis_data.paths import Workspace, checked_id
from avis_data.pipelines.engine.progress import Progress
from avis_data.pipelines.exports.avsbench_files import WindowFiles, check_windows, write_windows
from avis_data.pipelines.exports.avsbench_windows import Window, windows_of
from avis_data.pipelines.exports.certificate import clip_origin, common_parts
from avis_data.pipelines.exports.clips import SAMPLE_RATE_HZ, read_back_clips, written_clips
from avis_data.pipelines.exports.division import Division, divide
from avis_data.pipelines.exports.inputs import ExportInputs, gather
from avis_data.pipelines.exports.publish import (
    ExportReport,
    PublishOptions,
    division_facts,
    export_key,
    finish,
    publish,
)
from avis_data.recipe import load_recipe
from avis_data.splits import Assignment

__all__ = ["AvsbenchOptions", "AvsbenchPlan", "export_avsbench", "plan_avsbench"]

_LAYOUT = 1
"""Raised when the same inputs would give other files."""

_BYTES_OF_WINDOW = NUM_FRAMES * (4 * SIDE_PX * SIDE_PX + 2 * SAMPLE_RATE_HZ)
"""Of pictures that do not compress, so more than it takes."""


@dataclass(frozen=True, kw_only=True)
class AvsbenchOptions(PublishOptions):
    """What is to be published in AVSBench's layout; the numbers of a split are those of five-second clips."""

    format: AvsbenchName
    sound: AvsbenchSound = "wav"


@dataclass(frozen=True, kw_only=True)
class AvsbenchPlan:
    """All that an export will hold, before anything is written."""

    inputs: ExportInputs
    """Clips that give at least one window."""
    without_window: tuple[str, ...]
    """Clips with truth that give none."""
    splits: Mapping[str, Sequence[Window]]
    assignment: Assignment
    key: str
    bytes_written: int
    """At most."""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "key": self.key,
            "counts": self.counts(),
            **division_facts(self.assignment),
            "bytes_written": self.bytes_written,
            "clips_without_truth": len(self.inputs.without_truth),
            "clips_without_window": len(self.without_window),
            "clips_dropped": len(self.inputs.dropped),
        }

    def counts(self) -> dict[str, dict[str, int]]:
        """Per split and in total: five-second clips, sources (groups), frames, silent / single / multi seconds."""
        every = [window for windows in self.splits.values() for window in windows]
        return {name: _count(windows) for name, windows in [*self.splits.items(), ("total", every)]}


def plan_avsbench(workspace: Workspace, options: AvsbenchOptions) -> AvsbenchPlan:
    """Gather, check, cut and divide; touches nothing.

    Raises:
        AvisError: for everything that keeps the export from being made, apart from damaged stills and sound.
    """
    with Ledger(workspace.ledger, read_only=True) as ledger:
        return _planned(workspace, ledger, options)


def export_avsbench(workspace: Workspace, options: AvsbenchOptions) -> ExportReport[AvsbenchPlan]:
    """Write `exports/<name>/`: the folders of `formats.avsbench`, the list of files and the certificate.

    The same workspace, options and seed give the same bytes. A kill at any moment leaves nothing under the final
    name that is not complete.

    Raises:
        ConfigError: if the folder is no workspace, the split cannot be, or another export has this name.
        BusyError: if another command is at work in the workspace.
        DataError: if inputs are missing or damaged, nothing is fit, the disk is full, or what was read back differs.
    """
    return publish(
        workspace,
        options,
        lambda ledger: _planned(workspace, ledger, options),
        write=lambda plan, folder: _write(workspace, plan, options, folder),
    )


def _planned(workspace: Workspace, ledger: Ledger, options: AvsbenchOptions) -> AvsbenchPlan:
    checked_id(options.name)
    fps = load_recipe(workspace).extract.fps
    if fps != 1:
        message = f"AVSBench has one still and one label a second, this dataset {fps:g} (extract.fps in recipe.yaml)"
        raise ConfigError(message, hint="avis-data export --format ytvis")
    inputs = gather(
        workspace,
        ledger,
        selection="accepted",
        with_features=False,
        include_draft=options.include == "draft",
        truth="sounding",
    )
    found = {item.clip.clip_id: list(windows_of(item, options.format)) for item in inputs.clips}
    windows = [window for of_clip in found.values() for window in of_clip]
    if not windows:
        what = "one category sounds, from the first on" if options.format == "avsbench-s4" else "something sounds"
        raise DataError(f"none of {len(inputs.clips)} clip(s) has {NUM_FRAMES} seconds in which {what}")
    without = tuple(clip_id for clip_id, of_clip in found.items() if not of_clip)
    assignment = divide(
        [window.for_split() for window in windows],
        {window.name: window.item.clip for window in windows},
        inputs.recipe,
        Division(split=options.split, split_file=options.split_file, seed=options.seed),
        left_out=frozenset(without),
    )
    by_name = {window.name: window for window in windows}
    used = replace(inputs, clips=tuple(item for item in inputs.clips if found[item.clip.clip_id]))
    chosen = [_LAYOUT, options.format, options.include, options.sound, sorted(by_name)]
    return AvsbenchPlan(
        inputs=used,
        without_window=without,
        splits={name: [by_name[unit] for unit in assignment.clip_ids(name)] for name in assignment.names},
        assignment=assignment,
        key=export_key(used, assignment, chosen),
        bytes_written=len(windows) * _BYTES_OF_WINDOW,
    )


def _count(windows: Sequence[Window]) -> dict[str, int]:
    profiles = [window.for_split().seconds for window in windows]
    silent, single, multi = (sum(profile[kind] for profile in profiles) for kind in range(3))
    return {
        "clips": len(windows),
        "sources": len({window.item.group for window in windows}),
        "seconds": NUM_FRAMES * len(windows),
        "silent_seconds": silent,
        "single_seconds": single,
        "multi_seconds": multi,
    }


def _write(workspace: Workspace, plan: AvsbenchPlan, options: AvsbenchOptions, folder: Path) -> dict[str, str]:
    """Write everything into `folder`, read it back, and write list and certificate; gives path -> sha256."""
    by_clip: dict[str, list[Window]] = {item.clip.clip_id: [] for item in plan.inputs.clips}
    for windows in plan.splits.values():
        for window in windows:
            by_clip[window.item.clip.clip_id].append(window)
    split_of = plan.assignment.split_of
    how = WindowFiles(
        dataset=options.format, sound=options.sound, folder=folder, split_of=lambda window: split_of[window.name]
    )
    with Progress("export", total=2 * len(by_clip)) as progress:
        written = written_clips(
            lambda item: write_windows(workspace, by_clip[item.clip.clip_id], how),
            plan.inputs.clips,
            workers=options.workers,
            step=progress.step,
        )
        files = read_back_clips(
            lambda item: check_windows(workspace, by_clip[item.clip.clip_id], how, written[item.clip.clip_id]),
            plan.inputs.clips,
            workers=options.workers,
            step=progress.step,
        )
    files |= _write_table(plan, options, folder)
    finish(folder, files, _certificate(plan, options, folder, files))
    return files


def _write_table(plan: AvsbenchPlan, options: AvsbenchOptions, folder: Path) -> dict[str, str]:
    rows = [window.row(options.format, split) for split, windows in plan.splits.items() for window in windows]
    path, text = table(options.format, rows)
    write_text(folder / path, text)
    read = table_rows((folder / path).read_text(encoding="utf-8"))
    if [(row[0], row[-1]) for row in read] != [(row.name, row.split) for row in rows]:
        raise DataError(f"read back, {path} is not what was written; nothing was published")
    return {path: sha256_file(folder / path)}


def _certificate(
    plan: AvsbenchPlan, options: AvsbenchOptions, folder: Path, files: Mapping[str, str]
) -> dict[str, Any]:
    said = common_parts(
        plan.inputs,
        plan.assignment,
        key=plan.key,
        selection="accepted, draft" if options.include else "accepted",
        dataset_format=options.format,
        files=files,
        size_bytes=sum((folder / name).stat().st_size for name in files),
    )
    clips = [_clip_entry(window, split, options) for split, windows in plan.splits.items() for window in windows]
    heard = "audio_wav: 16 kHz, 16-bit PCM, mono" if options.sound == "wav" else "audio_log_mel: float32 (5, 1, 96, 64)"
    said["sound"]["files"] = heard
    pictures = f"stills and masks resized to {SIDE_PX} x {SIDE_PX}, aspect lost; masks: all that sounds, 255, else 0"
    return said | {"counts": plan.counts(), "pictures": pictures, "clips": clips}


def _clip_entry(window: Window, split: str, options: AvsbenchOptions) -> dict[str, Any]:
    row = window.row(options.format, split)
    category = {"category": folder_of(row.category)} if row.category else {}
    of_clip = {"clip_id": window.item.clip.clip_id, "from_second": window.start, **category}
    return {"name": window.name, "split": split, **of_clip, **clip_origin(window.item)}
