"""The list of videos that a dataset is asked to be made of: `videos.csv`, and the lists of AudioSet and VGGSound."""

from avis_data.video_list.reading import (
    ClipRow,
    DownloadRequest,
    VideoList,
    clip_id_of,
    read_video_list,
    seconds_from_text,
)

__all__ = ["ClipRow", "DownloadRequest", "VideoList", "clip_id_of", "read_video_list", "seconds_from_text"]
