"""Exports: what a workspace holds becomes a dataset that others can read, divided, checked, certified and named.

Every format is one module that ends in an `ExportSpec` and has a line below; it only maps (see `spec`). What is
exported is gathered by `inputs`, divided by `division`, planned by `plan`, written and read back by `writing`, and
gets its name by `publish`, whatever the format. Nothing here knows a server or how labels are made.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from avis_data.formats.sets.registry import SETS, WRITTEN
from avis_data.registry import Registry

if TYPE_CHECKING:
    from avis_data.pipelines.exports.spec import ExportSpec

__all__ = ["FORMATS"]


def _of_set(name: str) -> ExportSpec:
    from avis_data.pipelines.exports.labelled_sets import export_spec

    return export_spec(SETS[name])


FORMATS: Registry[ExportSpec] = Registry(
    "export format",
    {
        "ytvis": "avis_data.pipelines.exports.ytvis:YTVIS",
        "avsbench-s4": "avis_data.pipelines.exports.avsbench:S4",
        "avsbench-ms3": "avis_data.pipelines.exports.avsbench:MS3",
        **{name: partial(_of_set, name) for name in WRITTEN if name != "ytvis"},
    },
    group="avis_data.exports",
)
