"""Repairs of pulled labels: what they change, that they are done once, undone, and kept by later pulls."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from avis_data.annotation.labels import kept_repairs
from avis_data.annotation.labels.kept_repairs import keep_pulled, repair_labels, undo_repair
from avis_data.annotation.labels.records import Assignment, LabelledClip, LabelledTrack, Repair, RepairKind, Verdict
from avis_data.annotation.labels.store import labelled_path, read_labels, repairs_path, write_assignments
from avis_data.annotation.labels.tables import bring_up_to_date
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.cli.main import main
from avis_data.errors import ConfigError, DataError
from avis_data.masks.rle import decode
from avis_data.masks.table import read_masks
from avis_data.paths import Workspace
from support.rounds_world import SECONDS, clips_only, labels, open_round, say, square, track

ANN, BOB = "ann@example.com", "bob@example.com"
NAMES = ("person_1", "person_2", "dog_1")
Cells = dict[tuple[str, int], tuple[np.ndarray | None, bool]]
"""Object and still to its mask and whether it is heard: an oracle that knows neither spans nor run lengths."""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    workspace = clips_only(tmp_path / "ws", "a", "b")
    open_round(workspace, "draft", {"a": [ANN], "b": [ANN, BOB]})
    monkeypatch.chdir(workspace.root)
    return workspace


def cells(said: LabelledClip) -> Cells:
    found: Cells = {}
    for item in said.tracks:
        masks = item.rle_by_frame()
        for still in range(said.num_frames):
            mask_HW = decode(masks[still]) if still in masks else None
            heard = any(span.start_s <= still and still + 1 <= span.end_s for span in item.intervals)
            if mask_HW is not None or heard:
                found[item.identity, still] = mask_HW, heard
    return found


def same(a: Cells, b: Cells) -> bool:
    return a.keys() == b.keys() and all(
        a[key][1] == b[key][1] and np.array_equal(np.asarray(a[key][0]), np.asarray(b[key][0])) for key in a
    )


def random_tracks(rng: np.random.Generator) -> list[LabelledTrack]:
    tracks = []
    for number, name in enumerate(NAMES):
        stills = [still for still in range(SECONDS) if rng.random() < 0.7] or [number]
        heard = [(still, still + 1) for still in range(SECONDS) if rng.random() < 0.5]
        masks = {still: square(int(rng.integers(0, 38)), int(rng.integers(0, 22))) for still in stills}
        tracks.append(track(name, masks, heard or [(0, 1)]))
    return tracks


def asked(kind: RepairKind, rng: np.random.Generator) -> Repair:
    names: tuple[str, ...] = tuple(str(name) for name in rng.permutation(NAMES)[:2])
    first = int(rng.integers(0, SECONDS - 1))
    last = int(rng.integers(first, SECONDS)) if rng.random() < 0.5 else None
    onto: tuple[int, ...] = ()
    if kind is RepairKind.SPLIT:
        names = (names[0], "person_9")
    elif kind in (RepairKind.DELETE, RepairKind.COPY):
        names = names[:1]
    if kind is RepairKind.COPY:
        onto, last = tuple(still for still in range(SECONDS) if still != first and rng.random() < 0.5), None
    return Repair(
        number=1,
        kind=kind,
        identities=names,
        first=first,
        last=last,
        onto=onto or ((first + 1,) if kind is RepairKind.COPY else ()),
        by="lead",
        at="2026-01-02T00:00:00+00:00",
    )


def by_cells(before: Cells, repair: Repair) -> Cells | None:
    """What must come out, cell by cell; None: there is nothing to do."""
    one, other = repair.identities[0], repair.identities[-1]
    after: Cells = dict(before)
    stills = range(repair.first, SECONDS if repair.last is None else repair.last + 1)
    if repair.kind is RepairKind.COPY:
        mask_HW = before.get((one, repair.first), (None, False))[0]
        for still in repair.onto:
            after[one, still] = mask_HW, before.get((one, still), (None, False))[1]
        return None if mask_HW is None else after
    for still in stills:
        a, b = after.pop((one, still), None), after.pop((other, still), None) if other != one else None
        match repair.kind:
            case RepairKind.SWAP:
                pieces = [(one, b), (other, a)]
            case RepairKind.SPLIT:
                pieces = [(other, a)]
            case RepairKind.DELETE:
                pieces = []
            case RepairKind.MERGE:
                there = [cell for cell in (a, b) if cell is not None]
                masks = [mask_HW for mask_HW, _ in there if mask_HW is not None]
                whole = np.logical_or.reduce(masks) if masks else None
                pieces = [(one, (whole, any(heard for _, heard in there)) if there else None)]
        after |= {(name, still): cell for name, cell in pieces if cell is not None}
    touched = [one, other] if repair.kind is RepairKind.SWAP else [other] if repair.kind is RepairKind.MERGE else [one]
    return after if any((name, still) in before for name in touched for still in stills) else None


@pytest.mark.parametrize("kind", list(RepairKind))
@pytest.mark.parametrize("seed", range(6))
def test_a_repair_does_what_it_says_once_and_undone_leaves_the_same_bytes(
    workspace: Workspace, kind: RepairKind, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    say(workspace, labels("a", "draft", ANN, random_tracks(rng)))
    path = labelled_path(workspace, "draft", "a", ANN)
    untouched, wanted = path.read_bytes(), asked(kind, rng)
    expected = by_cells(cells(read_labels(path)), wanted)
    if expected is None:
        with pytest.raises(ConfigError, match=r"nothing to do|has no mask"):
            repair_labels(WorkspaceLabels(workspace), "a", wanted)
        assert path.read_bytes() == untouched
        return
    tried = repair_labels(WorkspaceLabels(workspace), "a", wanted, dry_run=True)
    assert path.read_bytes() == untouched
    repair_labels(WorkspaceLabels(workspace), "a", wanted)
    after = read_labels(path)
    assert same(cells(after), expected) and tried.labels == after
    for item in after.tracks:  # states follow from masks and spans, as pull makes them
        heard = {still for (name, still), cell in cells(after).items() if name == item.identity and cell[1]}
        for still, state in enumerate(item.states):
            seen = still in item.rle_by_frame()
            assert state == ("sounding" if seen and still in heard else "silent" if seen else "hidden")
    (repair,) = after.repairs
    assert (repair.by, repair.at, repair.number) == ("lead", "2026-01-02T00:00:00+00:00", 1)
    done = path.read_bytes()
    assert repair_labels(WorkspaceLabels(workspace), "a", wanted).changes is None
    assert path.read_bytes() == done, "done twice"
    for _ in range(2):
        undo_repair(WorkspaceLabels(workspace), "a", None, by="lead", at="2026-01-03T00:00:00+00:00")
        assert path.read_bytes() == untouched


PERSONS = [
    track("person_1", {still: square(2 + still, 2) for still in range(SECONDS)}, [(0, 3)]),
    track("person_2", {still: square(30, 20 - still) for still in range(SECONDS)}, [(3, 6)]),
]
SWAP = Repair(
    number=1, kind=RepairKind.SWAP, identities=("person_1", "person_2"), first=2, by="lead", at="2026-01-02T00:00:00Z"
)


def pulled(*tracks: LabelledTrack, updated_at: str = "2026-01-05T00:00:00Z") -> LabelledClip:
    return labels("a", "draft", ANN, tracks, project_id=1, updated_at=updated_at)


def moved(item: LabelledTrack, still: int, mask_HW: np.ndarray) -> LabelledTrack:
    other = track(item.identity, {still: mask_HW}, [(0, 1)]).masks[0]
    return item.model_copy(update={"masks": tuple(other if mask.frame == still else mask for mask in item.masks)})


def test_a_pull_keeps_a_repair_and_tells(workspace: Workspace) -> None:
    say(workspace, pulled(*PERSONS))
    repair_labels(WorkspaceLabels(workspace), "a", SWAP)
    repaired = cells(read_labels(labelled_path(workspace, "draft", "a", ANN)))
    kept, told = keep_pulled(WorkspaceLabels(workspace), pulled(*PERSONS))  # annotate pull --force
    assert same(cells(kept), repaired) and "stays" in told[0] and "lead" in told[0]

    elsewhere = pulled(moved(PERSONS[0], 0, square(20, 1)), PERSONS[1])  # the person mended a mask before the swap
    kept, told = keep_pulled(WorkspaceLabels(workspace), elsewhere)
    assert cells(kept)["person_1", 0][0][1, 20] and cells(kept)["person_1", 5][0][15, 30] and "stays" in told[0]

    within = pulled(moved(PERSONS[0], 3, square(6, 3)), PERSONS[1])  # and one behind it
    kept, told = keep_pulled(WorkspaceLabels(workspace), within)
    assert "done again" in told[0] and np.array_equal(cells(kept)["person_2", 3][0], square(6, 3))


def test_what_the_person_did_on_the_page_is_not_done_twice(workspace: Workspace) -> None:
    say(workspace, pulled(*PERSONS))
    swapped = repair_labels(WorkspaceLabels(workspace), "a", SWAP).labels
    kept, told = keep_pulled(WorkspaceLabels(workspace), pulled(*swapped.tracks))
    assert same(cells(kept), cells(swapped)) and "did the same" in told[0] and not kept.repairs
    assert repair_labels(WorkspaceLabels(workspace), "a", SWAP).changes is None
    assert same(cells(read_labels(labelled_path(workspace, "draft", "a", ANN))), cells(swapped))


def test_what_the_person_changed_otherwise_counts_and_the_repair_waits(workspace: Workspace) -> None:
    say(workspace, pulled(*PERSONS))
    repair_labels(WorkspaceLabels(workspace), "a", SWAP)
    other = pulled(
        track("person_1", {still: square(0, 23) for still in range(SECONDS)}, [(5, 6)]),
        track("person_2", {still: square(39, 0) for still in range(SECONDS)}, [(0, 1)]),
    )
    kept, told = keep_pulled(WorkspaceLabels(workspace), other)
    assert same(cells(kept), cells(other)) and "not done again" in told[0]
    (problem,) = [item for item in kept.problems if item.kind == "repair_waits"]
    assert "lead" in problem.message and "labels undo a 1" in problem.message
    again = repair_labels(WorkspaceLabels(workspace), "a", SWAP).labels  # somebody looked: the same command does it
    assert [item.number for item in again.repairs] == [2] and not [
        item for item in again.problems if item.kind == "repair_waits"
    ]
    assert np.array_equal(cells(again)["person_1", 5][0], square(39, 0))


def test_a_repair_outlives_an_annotation_that_was_deleted_and_made_anew(workspace: Workspace) -> None:
    say(workspace, pulled(*PERSONS))
    opened = WorkspaceLabels(workspace)
    repaired = repair_labels(opened, "a", SWAP).labels
    (answer,) = opened.answers("draft", "a")
    opened.withdraw(answer)
    kept, _ = keep_pulled(WorkspaceLabels(workspace), pulled(*PERSONS, updated_at="2026-02-01T00:00:00Z"))
    assert same(cells(kept), cells(repaired))


@pytest.mark.parametrize("step", ["write_repairs", "labels"])
def test_killed_in_between_the_same_command_completes_it(
    workspace: Workspace, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(workspace, pulled(*PERSONS))
    killed = WorkspaceLabels(workspace)

    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(*((kept_repairs, step) if step == "write_repairs" else (killed, "keep_labelled")), kill)
        repair_labels(killed, "a", SWAP)
    after = repair_labels(WorkspaceLabels(workspace), "a", SWAP).labels
    assert np.array_equal(cells(after)["person_1", 5][0], square(30, 15)) and len(after.repairs) == 1
    assert read_labels(labelled_path(workspace, "draft", "a", ANN)) == after


def test_a_repair_that_others_build_on_is_not_undone_alone(workspace: Workspace) -> None:
    say(workspace, pulled(*PERSONS))
    split = SWAP.model_copy(update={"kind": RepairKind.SPLIT, "identities": ("person_1", "person_3")})
    gone = SWAP.model_copy(update={"kind": RepairKind.DELETE, "identities": ("person_3",)})
    for repair in (split, gone):
        repair_labels(WorkspaceLabels(workspace), "a", repair)
    before = repairs_path(workspace, "draft", "a", ANN).read_bytes()
    with pytest.raises(ConfigError, match="builds on 1"):
        undo_repair(WorkspaceLabels(workspace), "a", 1, by="lead", at="now")
    assert repairs_path(workspace, "draft", "a", ANN).read_bytes() == before
    for number in (2, 1):
        undo_repair(WorkspaceLabels(workspace), "a", number, by="lead", at="now")
    assert same(cells(read_labels(labelled_path(workspace, "draft", "a", ANN))), cells(pulled(*PERSONS)))


WRONG: dict[str, tuple[list[str], str]] = {
    "no such object": (["swap", "a", "person_1", "person_7"], "there are: person_1, person_2"),
    "no such clip": (["delete", "zebra", "person_1"], "no labels of people"),
    "still behind the end": (["delete", "a", "person_1", "--from", "6"], "from 0 to 5"),
    "page behind the end": (["delete", "a", "person_1", "--from", "p7"], "from 0 to 5"),
    "no still": (["delete", "a", "person_1", "--from", "-1"], "no still"),
    "until before from": (["delete", "a", "person_1", "--from", "3", "--until", "2"], "before --from"),
    "the same object": (["merge", "a", "person_1", "person_1"], "twice"),
    "no label": (["split", "a", "person_1", "perzon_3", "--from", "2"], "no label"),
    "no number": (["split", "a", "person_1", "person", "--from", "2"], "no label"),
    "a name in use": (["split", "a", "person_1", "person_2", "--from", "2"], "already"),
    "no mask to copy": (["copy", "a", "person_3", "--from", "0", "--onto", "2"], "no object"),
    "onto itself": (["copy", "a", "person_1", "--from", "0", "--onto", "0-2"], "onto itself"),
    "backwards": (["copy", "a", "person_1", "--from", "0", "--onto", "4-2"], "before the first"),
    "of somebody else": (["delete", "a", "person_1", "--of", "eve@example.com"], "ann@example.com"),
    "nothing to undo": (["undo", "a"], "nothing was put right"),
    "two people's": (["delete", "b", "person_1", "--of", "eve@example.com"], "bob@example.com"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_done_is_told_and_changes_nothing(
    workspace: Workspace, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say(workspace, pulled(*PERSONS), *(labels("b", "draft", person, PERSONS) for person in (ANN, BOB)))
    before = {path: path.read_bytes() for path in sorted(workspace.annotations.rglob("*.json"))}
    line, words = WRONG[case]
    assert main(["labels", *line]) in (2, 3)
    assert words in capsys.readouterr().err
    assert {path: path.read_bytes() for path in sorted(workspace.annotations.rglob("*.json"))} == before


def test_a_damaged_mask_is_told_with_its_place(workspace: Workspace) -> None:
    bad = PERSONS[0].masks[3].model_copy(update={"counts": "o1"})
    broken = PERSONS[0].model_copy(update={"masks": (*PERSONS[0].masks[:3], bad)})
    say(workspace, pulled(broken, PERSONS[1]))
    with pytest.raises(DataError, match=r"a: the mask of person_1 on still 3 \(page 4\)"):
        repair_labels(WorkspaceLabels(workspace), "a", SWAP)


def test_labels_on_somebodys_page_are_not_repaired_under_their_hands(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    say(workspace, pulled(*PERSONS))
    given = {"prev_round": "draft", "prev_by": ANN}
    opened = WorkspaceLabels(workspace)
    open_round(workspace, "review", {"a": ["rev@example.com"]})
    write_assignments(workspace, "review", [Assignment(clip_id="a", annotator="rev@example.com", **given)])
    assert opened.round_names() == ["draft", "review"]
    assert main(["labels", "swap", "a", "person_1", "person_2"]) == 2
    assert "rev@example.com" in capsys.readouterr().err
    say(workspace, labels("a", "review", "rev@example.com", PERSONS, Verdict.ACCEPT))
    assert main(["labels", "swap", "a", "person_1", "person_2", "--from", "p3"]) == 0  # of what the reviewer left
    told = capsys.readouterr()
    assert "accepted these labels before" in told.err and "page 3" in told.out


def test_tables_history_and_list_know_a_repair(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    say(workspace, pulled(*PERSONS))
    bring_up_to_date(workspace, command="test")
    assert main(["labels", "swap", "a", "person_1", "person_2", "--from", "2", "--by", "lead"]) == 0
    rows = {(row.track_id, row.frame): row for _, of_clip in read_masks(workspace.masks, ["a"]) for row in of_clip}
    assert rows["person_1", 5].box_xywh == (30, 15, 8, 8) and rows["person_1", 5].state == "sounding"
    assert rows["person_1", 1].box_xywh == (3, 2, 8, 8)
    capsys.readouterr()
    assert main(["labels", "list", "a"]) == main(["review", "history", "a"]) == 0
    said = capsys.readouterr().out
    assert "1. swap person_1 person_2 from still 2 (page 3): by lead" in said and "put right since: swap" in said
    assert main(["labels", "undo", "a", "--by", "eve", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["repair"]["undone_by"] == "eve"
    rows = {(row.track_id, row.frame): row for _, of_clip in read_masks(workspace.masks, ["a"]) for row in of_clip}
    assert rows["person_1", 5].box_xywh == (7, 2, 8, 8)
