"""The columns of the Parquet files, and what `datasets` needs to know of them: which are pictures, which is sound."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pyarrow as pa

from avis_data.media.sound import SAMPLE_RATE_HZ

__all__ = ["MEDIA", "SCHEMA"]

_MEDIA = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_COLUMNS: dict[str, pa.DataType] = {
    "clip_id": pa.string(),
    "images": pa.list_(_MEDIA),
    "audio": _MEDIA,
    "tracks": pa.list_(
        pa.struct(
            [
                ("track_id", pa.string()),
                ("category", pa.string()),
                ("segmentations", pa.list_(pa.struct([("size", pa.list_(pa.int32())), ("counts", pa.string())]))),
                ("sounding", pa.list_(pa.bool_())),
            ]
        )
    ),
    "stills": pa.list_(
        pa.struct(
            [("name", pa.string()), ("number", pa.int64()), ("time_s", pa.float64()), ("is_labelled", pa.bool_())]
        )
    ),
    "embeddings": pa.list_(pa.list_(pa.float32())),
    "width": pa.int32(),
    "height": pa.int32(),
    "fps": pa.float64(),
    "has_truth": pa.bool_(),
    "has_identity": pa.bool_(),
    "license": pa.string(),
    "source": pa.string(),
    "url": pa.string(),
    "start_s": pa.float64(),
}
MEDIA = ("images", "audio", "embeddings")
"""The columns that are large."""


def _feature(kind: pa.DataType, name: str = "") -> Mapping[str, object]:
    """What `datasets` calls a column of this type (its Features, as it writes them itself)."""
    if kind == _MEDIA:
        return {"_type": "Audio", "sampling_rate": SAMPLE_RATE_HZ} if name == "audio" else {"_type": "Image"}
    if pa.types.is_list(kind):
        return {"_type": "List", "feature": _feature(kind.value_type)}
    if pa.types.is_struct(kind):
        return {inner.name: _feature(inner.type) for inner in kind}
    named = {"float": "float32", "double": "float64"}
    return {"_type": "Value", "dtype": named.get(str(kind), str(kind))}


_FEATURES = {"info": {"features": {name: _feature(kind, name) for name, kind in _COLUMNS.items()}}}
SCHEMA: pa.Schema = pa.schema(_COLUMNS, metadata={"huggingface": json.dumps(_FEATURES)})
"""Of every file; without its metadata pictures and sound would be plain structs of bytes and a path."""
