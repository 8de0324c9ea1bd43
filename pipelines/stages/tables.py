"""The parts of the tables of embeddings and fingerprints, written where no runner is: they follow their clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from avis_data.errors import ItemError
from avis_data.ledger import Done, Ledger, Output
from avis_data.paths import Workspace
from avis_data.pipelines.engine.stage import Item, Stage, Workbench, item_key, stage_key
from avis_data.pipelines.stages.embed import EmbedFacts, EmbedParams, EmbedStage, PackStage, pack_items
from avis_data.pipelines.stages.fingerprint import PackFingerprintsStage, pack_fingerprint_items
from avis_data.recipe import Recipe

__all__ = ["finish_tables", "pack_tables"]


def pack_tables(workspace: Workspace, recipe: Recipe, ledger: Ledger, *, weights_sha256: str | None) -> None:
    """Write both tables from the arrays of the clips, as their stages do; without weights that of fingerprints alone.

    Raises:
        ItemError: if an array of a clip cannot be read.
    """
    for stage, items in _tables(recipe, ledger, weights_sha256):
        for item in items:
            _pack(workspace, ledger, stage, item)


def finish_tables(workspace: Workspace, recipe: Recipe, ledger: Ledger) -> None:
    """Write the parts whose rows were begun to be replaced, so that the other clips of a part count as before.

    A part of which an array cannot be read, or whose clips were embedded with several networks, is left to the stage
    itself, which says why or knows the network that is meant.
    """
    weights = {facts.weights_sha256 for _, facts in ledger.read_facts(EmbedStage.name, EmbedFacts)}
    for stage, items in _tables(recipe, ledger, weights.pop() if len(weights) == 1 else None):
        entries = ledger.entries(stage.name)
        begun = {item_id for item_id, entry in entries.items() if entry.state == "replacing"}
        for item in items:
            if item.item_id in begun:
                try:
                    _pack(workspace, ledger, stage, item)
                except ItemError:
                    continue


def _tables(recipe: Recipe, ledger: Ledger, weights_sha256: str | None) -> Iterable[tuple[Stage, list[Item]]]:
    if weights_sha256 is not None:
        params = EmbedParams(front_end=recipe.embed.front_end, weights_sha256=weights_sha256)
        yield PackStage(params), list(pack_items(ledger, params).items)
    yield PackFingerprintsStage(), list(pack_fingerprint_items(ledger).items)


def _pack(workspace: Workspace, ledger: Ledger, stage: Stage, item: Item) -> None:
    home = workspace.root / item.home
    inputs: Mapping[str, Path] = {name: workspace.root / found.path for name, found in item.inputs.items()}
    record = item.parsed_record()
    facts = stage.run(Workbench(item_id=item.item_id, record=record, inputs=inputs, out=home, scratch=home))
    made = home / f"part-{item.item_id.rpartition('-')[2]}.parquet"
    done = Done(
        item_id=item.item_id,
        key=item_key(stage_key(stage), item),
        facts=facts.model_dump(mode="json"),
        inputs={name: found.sha256 for name, found in item.inputs.items()},
        outputs=[Output.of_file(made, root=workspace.root)],
        wall_s=0.0,
        cpu_s=0.0,
    )
    ledger.commit_done(stage.name, done)
