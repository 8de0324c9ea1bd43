"""Planning and `status` look at a workspace's clips one by one: ten times the clips take no more memory."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.errors import DataError
from avis_data.io import sha256_text
from avis_data.ledger import Ledger, Lookup
from avis_data.paths import Workspace
from avis_data.pipelines.engine.planner import Selection, plan_stage
from avis_data.pipelines.engine.spec import Choices, Current, Setting
from avis_data.pipelines.engine.stage import item_key, stage_key
from avis_data.pipelines.exports import FORMATS
from avis_data.pipelines.exports.plan import ExportOptions, plan_export
from avis_data.pipelines.stages import STAGES
from avis_data.pipelines.stages.embed import EmbedChoices, EmbedParams, EmbedStage
from avis_data.pipelines.status import failed_items, unlisted, workspace_status
from avis_data.recipe import load_recipe
from benchmarks.scale import WEIGHTS, build
from support.memory import peak_bytes

FEW, MANY = 150, 1500
OF_CLIPS = [spec.name for spec in STAGES if spec.items is not None and spec.after and spec.every_row]


@pytest.fixture(scope="module")
def workspaces(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Workspace]:
    """All is fetched, extracted and embedded."""
    found = {number: Workspace(tmp_path_factory.mktemp("scale") / str(number)) for number in (FEW, MANY)}
    for number, workspace in found.items():
        build(workspace.root, number)
    return found


def peak_of(work: Callable[[], object]) -> int:
    """What work holds at most; done once before, so that caches are full."""
    work()
    return peak_bytes(work)


def planned(workspace: Workspace, stage: str) -> tuple[int, int]:
    spec, recipe = STAGES[stage], load_recipe(workspace)
    choices = Choices(EmbedChoices(untrained=True))
    with Ledger(workspace.ledger, read_only=True) as ledger:
        setting = Setting(workspace=workspace, ledger=ledger, recipe=recipe, choices=choices, dry_run=True)
        assert spec.items is not None
        made = spec.make(recipe, choices)
        plan = plan_stage(workspace, ledger, made, spec.items(setting), Selection(), only_count=True)
        if spec.up_to_date is not None:
            assert sum(1 for _ in spec.up_to_date(ledger, recipe)) in (0, plan.num_done + len(plan.torn))
    return plan.num_to_do, plan.num_done


@pytest.mark.parametrize("stage", OF_CLIPS)
def test_planning_takes_no_more_memory_for_more_clips(workspaces: dict[int, Workspace], stage: str) -> None:
    peaks = {n: peak_of(partial(planned, workspaces[n], stage)) for n in workspaces}
    torn = 200 * MANY if stage == "embed" else 0  # their arrays are not there, and --json names them
    assert peaks[MANY] < 1.3 * peaks[FEW] + 40_000 + torn
    for number, workspace in workspaces.items():
        assert sum(planned(workspace, stage)) == number


def test_status_takes_no_more_memory_for_more_clips(workspaces: dict[int, Workspace]) -> None:
    def asked(workspace: Workspace) -> None:
        with Ledger(workspace.ledger, read_only=True) as ledger:
            found = workspace_status(ledger, load_recipe(workspace))
            stages = {status.stage: status for status in found}
            assert stages["extract"].done == stages["embed"].done == stages["extract"].wanted
            assert not failed_items(ledger, found) and not unlisted(ledger)

    peaks = {n: peak_of(partial(asked, workspaces[n])) for n in workspaces}
    assert peaks[MANY] < 1.3 * peaks[FEW] + 40_000


def test_planning_an_export_holds_no_records(workspaces: dict[int, Workspace]) -> None:
    """Half of the clips have truth. Their records, those of their tracks and of their sources would be 2.7 kB each."""

    def asked(workspace: Workspace) -> None:
        spec = FORMATS["ytvis"].with_options(features=False, media=False)
        plan = plan_export(workspace, spec, ExportOptions(split="70/10/20"))
        clip, number = plan.inputs.clips[-1].clip, int(plan.inputs.clips[-1].held.clip_id[1:])
        assert (clip.frames_sha256, clip.start_s) == (sha256_text(f"frames {number}"), 5.0 * (number % 10))

    peaks = {n: peak_of(partial(asked, workspaces[n])) for n in workspaces}
    assert peaks[MANY] - peaks[FEW] < 1800 * (MANY - FEW) / 2


def test_a_plan_that_is_kept_counts_as_one_that_is_not(workspaces: dict[int, Workspace]) -> None:
    workspace = workspaces[FEW]
    recipe = load_recipe(workspace)
    with Ledger(workspace.ledger, read_only=True) as ledger:
        for name in OF_CLIPS:
            spec, choices = STAGES[name], Choices(EmbedChoices(untrained=True))
            assert spec.items is not None
            for limit in (None, 7):
                setting = Setting(workspace=workspace, ledger=ledger, recipe=recipe, choices=choices)
                kept, counted = (
                    plan_stage(
                        *(workspace, ledger, spec.make(recipe, choices), spec.items(setting), Selection(limit=limit)),
                        only_count=only_count,
                    )
                    for only_count in (False, True)
                )
                assert kept.as_dict() == counted.as_dict()
                assert (len(kept.todo), len(kept.done)) == (kept.num_to_do, kept.num_done)


def test_numbers_that_another_program_spelled_otherwise_are_the_same(tmp_path: Path) -> None:
    """The ledger's text is compared as it is; where it differs, what it says is."""
    workspace = Workspace(tmp_path / "ws")
    build(workspace.root, 20)
    with sqlite3.connect(workspace.ledger) as db:
        for item_id, text in db.execute("SELECT item_id, facts FROM items WHERE stage = 'fetch'").fetchall():
            facts = json.loads(text)
            facts["media"] = {name: facts["media"][name] for name in reversed(facts["media"])} | {"duration_s": 600}
            db.execute("UPDATE items SET facts = ? WHERE item_id = ?", (json.dumps(facts, indent=1), item_id))
    db.close()
    with Ledger(workspace.ledger, read_only=True) as ledger:
        (extract,) = (row for row in workspace_status(ledger, load_recipe(workspace)) if row.stage == "extract")
    assert (extract.done, extract.stale) == (20, 0)


@pytest.mark.parametrize("stage", ["extract", "embed"])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_current_is_that_whose_item_has_its_key(tmp_path: Path, stage: str, seed: int) -> None:
    """The ledger compares texts; the oracle makes every item as a worker would get it, and hashes that."""
    workspace, rng = Workspace(tmp_path / "ws"), random.Random(seed)
    build(workspace.root, 40)
    with sqlite3.connect(workspace.ledger) as db:
        rows = db.execute("SELECT rowid, stage, facts, outputs FROM items WHERE stage IN ('fetch', 'extract', 'embed')")
        for rowid, of_stage, facts, left in rows.fetchall():
            change = rng.randrange(12)
            if change == 0:
                db.execute("UPDATE items SET key = ? WHERE rowid = ?", ("0" * 64, rowid))
            elif change == 1:  # the same, spelled by another program
                db.execute(
                    "UPDATE items SET facts = ? WHERE rowid = ?", (json.dumps(json.loads(facts), indent=2), rowid)
                )
            elif change == 2:  # the same, in another order
                db.execute("UPDATE items SET outputs = ? WHERE rowid = ?", (json.dumps(json.loads(left)[::-1]), rowid))
            elif change == 3:
                db.execute("UPDATE items SET outputs = replace(outputs, ', 100,', ', 101,') WHERE rowid = ?", (rowid,))
            elif change == 4:
                other = json.dumps([[path, "f" * 64, size, at] for path, _, size, at in json.loads(left)])
                db.execute("UPDATE items SET outputs = ? WHERE rowid = ?", (other, rowid))
            elif change == 5:
                db.execute("UPDATE items SET state = 'failed', reason = 'bug' WHERE rowid = ?", (rowid,))
            elif change == 6 and of_stage == "fetch":
                db.execute("UPDATE items SET facts = json_set(facts, '$.media', NULL) WHERE rowid = ?", (rowid,))
            elif change == 6:
                db.execute("UPDATE items SET facts = json_set(facts, '$.num_frames', 7) WHERE rowid = ?", (rowid,))
    db.close()
    spec, recipe = STAGES[stage], load_recipe(workspace)
    choices = Choices(EmbedChoices(untrained=True))
    assert spec.items is not None and spec.up_to_date is not None
    made = spec.make(recipe, choices)
    if stage == "embed":
        made = EmbedStage(EmbedParams(weights_sha256=WEIGHTS), None)
    with Ledger(workspace.ledger, read_only=True) as ledger:
        setting = Setting(workspace=workspace, ledger=ledger, recipe=recipe, choices=choices, dry_run=True)
        keys, of_stage = ledger.done_keys(stage), stage_key(made)
        items = spec.items(setting).items
        wanted = [item.item_id for item in items if keys.get(item.item_id) == item_key(of_stage, item)]
        current = spec.up_to_date(ledger, recipe)
        assert isinstance(current, Current)
        assert list(current) == wanted and current.count() == len(wanted)
    assert 0 < len(wanted) < 40


@pytest.mark.parametrize("column", ["key", "facts"])
@pytest.mark.parametrize("stage", ["extract", "embed"])
def test_a_value_of_another_kind_is_named_and_not_counted(tmp_path: Path, stage: str, column: str) -> None:
    workspace = Workspace(tmp_path / "ws")
    build(workspace.root, 20)
    with sqlite3.connect(workspace.ledger) as db:
        value = b"\xff\xfe" if column == "key" else json.dumps({"weights_sha256": None})
        db.execute(f"UPDATE items SET {column} = ? WHERE stage = ? AND item_id = 'c0000003'", (value, stage))
    db.close()
    spec, recipe = STAGES[stage], load_recipe(workspace)
    assert spec.up_to_date is not None
    with Ledger(workspace.ledger, read_only=True) as ledger:
        current = spec.up_to_date(ledger, recipe)
        assert isinstance(current, Current)
        if (stage, column) == ("extract", "facts"):
            assert current.count() == 20, "nothing of them is asked for"
            return
        for asked in (current.count, lambda: list(current)):
            with pytest.raises(DataError, match="c0000003"):
                asked()


def test_embeddings_of_weights_that_have_no_hash_are_not_of_now(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    build(workspace.root, 20)
    with sqlite3.connect(workspace.ledger) as db:
        db.execute("UPDATE items SET facts = json_set(facts, '$.weights_sha256', 'mine') WHERE stage = 'embed'")
    db.close()
    with Ledger(workspace.ledger, read_only=True) as ledger:
        (embed,) = (row for row in workspace_status(ledger, load_recipe(workspace)) if row.stage == "embed")
    assert (embed.done, embed.stale) == (0, 20)


def test_stages_are_counted_one_after_the_other_where_some_is_half_current(tmp_path: Path) -> None:
    """Of one stage the items are left half read; the next one is asked all the same."""
    workspace = Workspace(tmp_path / "ws")
    build(workspace.root, 20)
    with sqlite3.connect(workspace.ledger) as db:
        db.execute("DELETE FROM items WHERE stage = 'extract' AND item_id > 'c0000011'")
        db.execute("UPDATE items SET key = ? WHERE stage = 'extract'", ("0" * 64,))
    db.close()
    with Ledger(workspace.ledger, read_only=True) as ledger:
        found = {row.stage: row for row in workspace_status(ledger, load_recipe(workspace))}
    assert (found["extract"].done, found["extract"].stale) == (0, 12)
    assert (found["embed"].done, found["embed"].stale) == (12, 8)


def test_ctrl_c_while_items_are_counted_is_no_damage(workspaces: dict[int, Workspace]) -> None:
    def interrupted(_: str | None) -> str:
        raise KeyboardInterrupt

    spec, recipe = STAGES["extract"], load_recipe(workspaces[FEW])
    assert spec.up_to_date is not None
    with Ledger(workspaces[FEW].ledger, read_only=True) as ledger:
        current = spec.up_to_date(ledger, recipe)
        assert isinstance(current, Current)
        with pytest.raises(KeyboardInterrupt):
            replace(current, stage_hash=interrupted).count()
        assert current.count() == FEW


@pytest.mark.parametrize("seed", range(8))
def test_a_lookup_gives_what_a_dict_would_whatever_the_order(seed: int) -> None:
    rng = random.Random(seed)
    rows = {f"{number:04d}": number for number in rng.sample(range(2000), rng.choice([0, 1, 30, 900]))}
    asked_rows: list[str] = []

    def rows_from(first: str) -> Iterator[tuple[str, int]]:
        for item_id in sorted(rows):
            if item_id >= first:
                asked_rows.append(item_id)
                yield item_id, rows[item_id]

    ids = [f"{rng.randrange(2000):04d}" for _ in range(400)]
    ids = sorted(ids) if seed % 2 else ids
    lookup = Lookup(rows_from)
    assert [lookup.get(item_id) for item_id in ids] == [rows.get(item_id) for item_id in ids]
    assert len(asked_rows) <= 20 * len(ids), "nobody reads the whole table again for each id"


def test_review_status_pages(workspaces: dict[int, Workspace], capsys: pytest.CaptureFixture[str]) -> None:
    """Many clips are counted; every one is listed where somebody asks for it."""
    root = str(workspaces[FEW].root)
    assert main(["-C", root, "review", "status"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{FEW} unlabelled" and len(said) == 103
    assert said[-2].startswith(f"... and {FEW - 100} more") and said[-1].startswith("next: avis-data annotate push")
    assert main(["-C", root, "review", "status", "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == FEW + 2
    assert main(["-C", root, "review", "status", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["clips"]) == FEW
