"""Writes `schemas/`: JSON Schemas of the records, and the columns of the Parquet tables, from the code that uses them.

`python -m avis_data.schemas.generate` rewrites them; a test fails where they differ.
"""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from avis_data.features.store import EMBEDDING_SCHEMA
from avis_data.fingerprints.store import FINGERPRINT_SCHEMA
from avis_data.io import write_text
from avis_data.masks.table import MASK_SCHEMA
from avis_data.recipe import Recipe
from avis_data.records import CategorySet, Clip, MaskRow, Times, Track, Video

__all__ = ["schema_files", "write_schema_files"]

_RECORDS: dict[str, type[BaseModel]] = {
    "category_set": CategorySet,
    "clip": Clip,
    "mask_row": MaskRow,
    "recipe": Recipe,
    "times": Times,
    "track": Track,
    "video": Video,
}
_TABLES: dict[str, tuple[pa.Schema, str]] = {
    "embeddings": (EMBEDDING_SCHEMA, "features/vggish/part-*.parquet: one row per clip and still"),
    "fingerprints": (FINGERPRINT_SCHEMA, "fingerprints/part-*.parquet: one row per clip"),
    "masks": (MASK_SCHEMA, "masks/part-*.parquet: one row per clip, track and still"),
}


def schema_files() -> dict[str, str]:
    """What each file of `schemas/records` and `schemas/parquet` should hold, by its path in `schemas/`."""
    content: dict[str, Any] = {}
    for name, record in _RECORDS.items():
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **record.model_json_schema()}
        content[f"records/{name}.schema.json"] = schema
    for name, (table, description) in _TABLES.items():
        content[f"parquet/{name}.json"] = {"description": description, "columns": [_column(field) for field in table]}
    return {path: json.dumps(value, indent=2, ensure_ascii=False) + "\n" for path, value in content.items()}


def write_schema_files(folder: Path) -> list[str]:
    """Write those that differ from what `folder` holds; gives their paths in it."""
    changed = []
    for path, text in schema_files().items():
        target = folder / path
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            write_text(target, text)
            changed.append(path)
    return changed


def _column(field: pa.Field) -> dict[str, Any]:
    return {"name": field.name, "type": str(field.type), "nullable": field.nullable}


if __name__ == "__main__":
    for written in write_schema_files(Path(str(files("avis_data.schemas") / "categories")).parent):
        print(f"schemas/{written}")
