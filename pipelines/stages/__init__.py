"""The stages: one file for each, which ends in its `SPEC`. Here are their names; nobody else lists them.

A stage gets an item and a folder and leaves files and facts. It knows neither exports nor imports, and no other
command; what items it has is read from the ledger. `made_clips` is what several have in common; `tables` writes parts
of tables where no runner is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from avis_data.registry import Registry

if TYPE_CHECKING:
    from avis_data.pipelines.engine.spec import StageSpec

__all__ = ["STAGES"]

STAGES: Registry[StageSpec] = Registry(
    "stage",
    {
        "fetch": "avis_data.pipelines.stages.fetch:SPEC",
        "extract": "avis_data.pipelines.stages.extract:SPEC",
        "preview": "avis_data.pipelines.stages.preview:SPEC",
        "adopt": "avis_data.pipelines.stages.adopt:SPEC",
        "embed": "avis_data.pipelines.stages.embed:SPEC",
        "fingerprint": "avis_data.pipelines.stages.fingerprint:SPEC",
        "prelabel": "avis_data.annotation.prelabel.prelabel:SPEC",
        "propagate": "avis_data.annotation.propagation.propagate:SPEC",
    },
    group="avis_data.stages",
)
"""The stages in the order in which they run."""
