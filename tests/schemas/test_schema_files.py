"""`schemas/` says what the code does."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from avis_data.categories import category_set, category_set_names
from avis_data.errors import ConfigError
from avis_data.records import Track
from avis_data.schemas.generate import schema_files, write_schema_files
from support.places import ROOT

SCHEMAS = ROOT / "schemas"


def test_generated_files_are_up_to_date() -> None:
    advice = "run `python -m avis_data.schemas.generate` and commit the result"
    for path, text in schema_files().items():
        assert (SCHEMAS / path).read_text(encoding="utf-8") == text, f"schemas/{path} has drifted: {advice}"
    on_disk = {
        path.relative_to(SCHEMAS).as_posix() for part in ("records", "parquet") for path in SCHEMAS.glob(f"{part}/*")
    }
    assert on_disk == set(schema_files()), advice


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    assert sorted(write_schema_files(tmp_path)) == sorted(schema_files())
    assert write_schema_files(tmp_path) == []


def test_the_schemas_accept_what_the_records_write_and_refuse_the_rest() -> None:
    schema = json.loads((SCHEMAS / "records/track.schema.json").read_text())
    track = Track(track_id="000001", clip_id="a", category="dog", num_sounding=2, origin="x", round="import")
    jsonschema.validate(json.loads(track.model_dump_json()), schema)
    for change in ({"track_id": "../x"}, {"num_sounding": -1}, {"more": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**track.model_dump(), **change}, schema)


def test_category_sets_have_the_published_sizes_and_ids() -> None:
    sizes = {name: len(category_set(name).categories) for name in category_set_names()}
    assert sizes == {"aviseg-26": 26, "avis-20": 20, "avsbench-23": 23, "open-15": 12, "ytvis-2019": 40}
    schema = json.loads((SCHEMAS / "records/category_set.schema.json").read_text())
    for name in sizes:
        found = category_set(name)
        assert found.name == name
        assert [category.id for category in found.categories] == list(range(1, sizes[name] + 1))
        assert len({category.name for category in found.categories}) == sizes[name]
        jsonschema.validate(json.loads(found.model_dump_json()), schema)


@pytest.mark.parametrize(
    ("name", "number", "category"),
    [
        ("aviseg-26", 1, "person"),
        ("aviseg-26", 9, "guzheng"),
        ("aviseg-26", 15, "lawn_mover"),  # the spelling of the published files
        ("aviseg-26", 21, "tree_harvester"),
        ("aviseg-26", 26, "horse"),
        ("avis-20", 7, "cat"),
        ("avis-20", 11, "leopard"),
        ("avis-20", 20, "earless_seal"),
        ("ytvis-2019", 14, "cat"),
        ("ytvis-2019", 23, "leopard"),
        ("ytvis-2019", 40, "tennis_racket"),
        ("avsbench-23", 7, "horse_clip-clop"),
    ],
)
def test_known_categories_stand_where_the_papers_say(name: str, number: int, category: str) -> None:
    assert category_set(name).categories[number - 1].name == category


def test_avis_20_is_a_part_of_youtube_vis_in_its_order() -> None:
    names = [category.name for category in category_set("ytvis-2019").categories]
    places = [names.index(category.name) for category in category_set("avis-20").categories]
    assert places == sorted(places)


def test_an_unknown_set_lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match="aviseg-26"):
        category_set("nothing")
