"""Builds a FiftyOne dataset of the COCO files, pictures and sound that lie beside this script.

Run: pip install fiftyone pycocotools
     python load_fiftyone.py [--name NAME] [--open]

A sample is a still. Its fields: clip, still (its number), second, split (also a tag), sound (the WAV file of its clip),
fps, source, license, and objects: masks with label, track_id, instance (one for each object of a clip) and sounding
(not there where nobody said it). Objects of an unlabelled still are null. The saved view `clips` has the stills of each
clip in their order.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BATCH = 500


def load(folder: str | Path = HERE, name: str | None = None, *, overwrite: bool = False) -> Any:
    """The dataset, which FiftyOne keeps under its name.

    Args:
        folder: where annotations/, images/ and sound/ are.
        name: of the dataset; None: that of the folder.
        overwrite: whether a dataset of that name is made anew.

    Raises:
        ValueError: if there is a dataset of that name, or nothing to load.
    """
    import fiftyone as fo

    folder = Path(folder).resolve()
    name = name or folder.name
    files = sorted((folder / "annotations").glob("instances_*.json"))
    if not files:
        raise ValueError(f"{folder}/annotations holds no instances_<split>.json")
    if fo.dataset_exists(name) and not overwrite:
        raise ValueError(f"there is a dataset {name!r} already; --overwrite, or another --name")
    dataset = fo.Dataset(name, overwrite=overwrite)
    for file in files:
        content = json.loads(file.read_text(encoding="utf-8"))
        samples = _samples(fo, folder, file.stem.removeprefix("instances_"), content)
        while batch := list(islice(samples, BATCH)):
            dataset.add_samples(batch, progress=False)
        dataset.info = {**content["info"], "licenses": "LICENSES.csv"}
        dataset.default_classes = [category["name"] for category in content["categories"]]
    dataset.add_dynamic_sample_fields()
    dataset.save_view("clips", dataset.group_by("clip", order_by="still"))
    dataset.persistent = True  # last: what was broken off is not kept
    dataset.save()
    return dataset


def _samples(fo: Any, folder: Path, split: str, content: dict[str, Any]) -> Iterator[Any]:
    """The samples of one file."""
    videos = {video["id"]: video for video in content["videos"]}
    licenses = {license["id"]: license["name"] for license in content["licenses"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    tracks = {track["id"]: track["name"] for track in content["tracks"]}
    instances = {track: fo.Instance() for track in tracks}
    of_image: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for annotation in content["annotations"]:
        of_image[annotation["image_id"]].append(annotation)
    for image in content["images"]:
        video = videos[image["video_id"]]
        sound = folder / "sound" / split / f"{video['name']}.wav"
        sample = fo.Sample(
            filepath=str(folder / "images" / split / image["file_name"]),
            tags=[split],
            metadata=fo.ImageMetadata(width=image["width"], height=image["height"]),
            split=split,
            clip=video["name"],
            still=image["frame_id"],
            second=image["frame_id"] / video["fps"] if video.get("fps") else None,
            fps=video.get("fps"),
            sound=str(sound) if sound.is_file() else None,
            source=video.get("source"),
            license=licenses.get(video.get("license")),
        )
        labelled = image.get("is_labelled", True) and video.get("has_truth", True)
        found = [_detection(fo, one, image, names, tracks, instances) for one in of_image[image["id"]]]
        sample["objects"] = fo.Detections(detections=found) if labelled else None
        yield sample


def _detection(
    fo: Any, one: dict[str, Any], image: dict[str, Any], names: dict[int, str], tracks: dict[int, str], instances: Any
) -> Any:
    """One object of a still. Its mask is cut out along its box, which has whole pixels."""
    from pycocotools import mask

    x, y, width, height = (round(value) for value in one["bbox"])
    inside = mask.decode(one["segmentation"])[y : y + height, x : x + width].astype(bool)
    box = [x / image["width"], y / image["height"], width / image["width"], height / image["height"]]
    sounding = one["attributes"].get("sounding")
    return fo.Detection(
        label=names[one["category_id"]],
        bounding_box=box,
        mask=inside,
        index=one["track_id"],
        instance=instances[one["track_id"]],
        track_id=tracks[one["track_id"]],
        **({} if sounding is None else {"sounding": sounding}),
    )


def main() -> int:
    """What the script does."""
    parser = argparse.ArgumentParser(description="Builds a FiftyOne dataset of the files beside this script.")
    parser.add_argument("--name", help="of the dataset; usually that of the folder")
    parser.add_argument("--overwrite", action="store_true", help="make a dataset of that name anew")
    parser.add_argument("--open", action="store_true", help="open FiftyOne's App when it is loaded")
    given = parser.parse_args()
    try:
        dataset = load(HERE, given.name, overwrite=given.overwrite)
    except (ImportError, OSError, ValueError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    print(f"{dataset.name}: {len(dataset)} stills of {len(dataset.distinct('clip'))} clips")
    if given.open:
        import fiftyone as fo

        fo.launch_app(dataset).wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
