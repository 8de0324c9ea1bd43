"""AVS-BG and the AVSBench baseline, which are one model with other parts, as one of the models that there are."""

from __future__ import annotations

from avis_data.training.models.avs_bg.config import AvsBgConfig, AvsBgLossConfig
from avis_data.training.models.avs_bg.looking import avs_attention
from avis_data.training.models.avs_bg.model import AvsBg
from avis_data.training.models.avs_bg.official_names import from_official_avs, is_official_avs
from avis_data.training.models.avs_bg.official_shapes import avs_config_of
from avis_data.training.models.spec import ModelSpec, OfficialFiles

__all__ = ["SPEC"]

SPEC = ModelSpec(
    name="avs-bg",
    config=AvsBgConfig,
    loss=AvsBgLossConfig,
    build=AvsBg,
    default_config="avs_bg_pvt_s4",
    task="avs",
    official=OfficialFiles(
        titles=("AVS-BG", "AVSBench"), is_one=is_official_avs, renamed=from_official_avs, config=avs_config_of
    ),
    attention=avs_attention,
)
