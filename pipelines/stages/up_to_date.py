"""Which finished items are what would be made now: the ledger's keys against the recipe, the list and the inputs.

Only the ledger is read; whether the files are as they were left is for the planner and the export to see.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from avis_data.cycles import no_cycle_search
from avis_data.ledger import Ledger
from avis_data.pipelines.engine.stage import Item, item_key, params_key, stage_key
from avis_data.pipelines.stages.catalog import Candidates, embed_items, extract_items, preview_items
from avis_data.pipelines.stages.embed import EmbedParams, EmbedStage
from avis_data.pipelines.stages.extract import ExtractStage
from avis_data.pipelines.stages.preview import PreviewStage
from avis_data.recipe import Recipe
from avis_data.records import SoundState

__all__ = ["current_adopted", "current_embedded", "current_extracted", "current_previews"]

_REFUSED = (SoundState.NONE, SoundState.SHORT)
"""Sound that a recipe with `missing_sound: fail` does not take."""


def current_extracted(ledger: Ledger, recipe: Recipe) -> set[str]:
    """Wanted clips whose stills and sound are those that the recipe takes from their source."""
    stage_hash = stage_key(ExtractStage(recipe.extract))
    return _current(ledger, "extract", extract_items(ledger), lambda item: item_key(stage_hash, item))


def current_previews(ledger: Ledger, recipe: Recipe) -> set[str]:
    """Wanted clips whose preview is the one that the recipe makes of their source."""
    stage_hash = stage_key(PreviewStage(recipe.preview))
    return _current(ledger, "preview", preview_items(ledger), lambda item: item_key(stage_hash, item))


def current_embedded(ledger: Ledger, recipe: Recipe) -> set[str]:
    """Wanted clips whose embeddings were made from the sound that they have now, whatever the weights."""
    weights_of = {clip_id: json.loads(text)["weights_sha256"] for clip_id, text in ledger.facts("embed")}
    hashes = {weights: _embed_key(recipe, weights) for weights in set(weights_of.values())}
    return _current(ledger, "embed", embed_items(ledger), lambda item: item_key(hashes[weights_of[item.item_id]], item))


def current_adopted(ledger: Ledger, recipe: Recipe) -> set[str]:
    """Clips of existing sets that the recipe takes as they are.

    Of the recipe they depend on the rate, and on `missing_sound` where sound is missing. Where they came from is not
    looked at again: that folder need not be there any more.
    """
    wanted = {clip_id for clip_id, _ in ledger.adopted()}
    refused = _REFUSED if recipe.extract.missing_sound == "fail" else ()
    facts = ((clip_id, json.loads(text)) for clip_id, text in ledger.facts("adopt") if clip_id in wanted)
    return {clip_id for clip_id, found in facts if found["sound"] not in refused and found["fps"] == recipe.extract.fps}


def _embed_key(recipe: Recipe, weights_sha256: str) -> str:
    params = EmbedParams(front_end=recipe.embed.front_end, weights_sha256=weights_sha256)
    return params_key(EmbedStage.name, EmbedStage.version, params)  # the weights themselves need not be here


@no_cycle_search()
def _current(ledger: Ledger, stage: str, candidates: Candidates, key_of: Callable[[Item], str]) -> set[str]:
    keys = ledger.done_keys(stage)
    return {item.item_id for item in candidates.items if item.item_id in keys and keys[item.item_id] == key_of(item)}
