"""COCO pictures as a split of clips of one frame: what a model of stills is measured on.

AP of tracks of one frame is AP of masks, so validation's figures are those of a column "COCO mask AP", of the classes
that the set shares with the dataset. COCO's own program also ignores what lies on crowds; here crowds are left out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from avis_data.errors import DataError
from avis_data.training.data.frame_times import FrameTimes
from avis_data.training.data.split import DatasetClip, DatasetTrack, SplitData
from avis_data.training.data.stills.coco import CocoStills, StillsConfig

__all__ = ["still_split"]

logger = logging.getLogger(__name__)


def still_split(config: StillsConfig, categories: Mapping[int, str]) -> SplitData:
    """The pictures of `config.measured` with their objects; bad ones are told and left out.

    Args:
        categories: of the dataset, id -> name.

    Raises:
        DataError: if the file cannot be read, or shares no class or no sound picture with the dataset.
    """
    assert config.measured is not None  # it was asked
    stills = CocoStills(replace(config, file=config.measured, pictures=config.measured_pictures), categories)
    clips, known = [], 0
    for place in range(len(stills)):
        try:
            clip = _clip(stills, place, first_identity=known)
        except DataError as error:
            logger.warning("still=%s left out: %s", stills.name(place), error)
            continue
        clips.append(clip)
        known += len(clip.tracks)
    if not clips:
        raise DataError(f"{stills.file}: none of {len(stills)} pictures can be read")
    return SplitData(
        name="stills",
        truth=stills.file,
        clips=tuple(clips),
        categories=dict(categories),
        has_labels=True,
        audio=None,
    )


def _clip(stills: CocoStills, place: int, *, first_identity: int) -> DatasetClip:
    picture, objects = stills.read(place)
    path = Path(stills.path(place))
    return DatasetClip(
        clip_id=stills.name(place),
        video_id=place + 1,
        folder=path.parent,
        file_names=(path.name,),
        size_hw=(picture.height, picture.width),
        times=FrameTimes(fps=1.0, instants_s=(0.5,)),
        audio=None,
        tracks=tuple(
            DatasetTrack(label=label, identity=first_identity + number, masks=(mask,))
            for number, (label, mask) in enumerate(objects)
        ),
    )
