"""The formats of labelled sets, by name."""

from __future__ import annotations

from avis_data.formats.sets.spec import SetSpec
from avis_data.registry import Registry

__all__ = ["SETS", "WRITTEN"]

SETS: Registry[SetSpec] = Registry(
    "format",
    {
        "ytvis": "avis_data.formats.ytvis_set:YTVIS_SET",
        "coco": "avis_data.formats.boards.coco:COCO",
        "mots": "avis_data.formats.boards.mots:MOTS",
        "davis": "avis_data.formats.boards.davis:DAVIS",
        "sa-v": "avis_data.formats.boards.sa_v:SA_V",
        "cvat": "avis_data.formats.tools.cvat:CVAT",
        "isat": "avis_data.formats.tools.still_tools:ISAT",
        "label-studio": "avis_data.formats.tools.label_studio:LABEL_STUDIO",
        "labelme": "avis_data.formats.tools.still_tools:LABELME",
        "x-anylabeling": "avis_data.formats.tools.still_tools:X_ANYLABELING",
        "rttm": "avis_data.formats.turns.rttm:RTTM",
        "ava-speaker": "avis_data.formats.turns.ava:AVA_SPEAKER",
        "avsbench": "avis_data.formats.heard.avsbench:AVSBENCH",
        "avsbench-avss": "avis_data.formats.heard.avsbench:AVSS",
        "hf": "avis_data.formats.hubs.hf:HF",
        "webdataset": "avis_data.formats.hubs.webdataset:WEBDATASET",
        "croissant": "avis_data.formats.hubs.croissant:CROISSANT",
        "fiftyone": "avis_data.formats.hubs.fiftyone:FIFTYONE",
        "avtrack": "avis_data.formats.heard.avtrack:AVTRACK",
    },
    group="avis_data.formats",
)

WRITTEN: tuple[str, ...] = (
    "ytvis",
    "coco",
    "mots",
    "davis",
    "sa-v",
    "rttm",
    "ava-speaker",
    "avsbench-avss",
    "hf",
    "webdataset",
    "croissant",
    "fiftyone",
)
"""Those that have a writer: known without importing them, for the list of export formats."""
