"""AVISM (and VITA, which is AVISM without sound) as one of the models that there are."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from avis_data.training.models.avism.config import AvismConfig, AvismLossConfig
from avis_data.training.models.avism.model import Avism
from avis_data.training.models.avism.official_names import from_official_avism, is_official_avism
from avis_data.training.models.avism.official_shapes import avism_config_of
from avis_data.training.models.backbones import SwinSpec
from avis_data.training.models.spec import ModelSpec, OfficialFiles

__all__ = ["SPEC"]


def _official_config(tensors: Mapping[str, Tensor]) -> tuple[str, AvismConfig]:
    config = avism_config_of(tensors, AvismConfig())
    return "avism_swinl" if isinstance(config.backbone, SwinSpec) else "avism_r50", config


SPEC = ModelSpec(
    name="avism",
    config=AvismConfig,
    loss=AvismLossConfig,
    build=Avism,
    default_config="avism_r50",
    runs_together=False,
    audio_kinds=("vggish", "logmel", "stereo", "stereo-parts", "panorama"),
    official=OfficialFiles(
        titles=("AVISM", "VITA"),
        is_one=is_official_avism,
        renamed=from_official_avism,
        config=_official_config,
    ),
)
