"""Our script builds the dataset in FiftyOne's database: the objects of each still, and FiftyOne's own folder of it."""

import json
import sys
from pathlib import Path

import fiftyone as fo
import numpy as np
from pycocotools import mask as coco_mask

folder, own_folder = sys.argv[1:]
sys.path.append(folder)
fo.config.database_validation = False
from load_fiftyone import load  # noqa: E402  # the script lies in the folder that is given

dataset = load(folder, "odd")
try:
    load(folder, "odd")
    refused = False
except ValueError:
    refused = True
found = {}
for sample in dataset:
    width, height = sample.metadata.width, sample.metadata.height
    objects = []
    for detection in sample.objects.detections if sample.objects is not None else []:
        whole = np.zeros((height, width), np.uint8)
        x, y = (round(v) for v in np.array(detection.bounding_box[:2]) * (width, height))
        rows, columns = detection.mask.shape
        whole[y : y + rows, x : x + columns] = detection.mask
        packed = coco_mask.encode(np.asfortranarray(whole))
        objects.append(
            {
                "label": detection.label,
                "track_id": detection.track_id,
                "instance": str(detection.instance.id),
                "sounding": detection["sounding"] if detection.has_field("sounding") else None,
                "mask": {"size": packed["size"], "counts": packed["counts"].decode()},
            }
        )
    found[f"{sample.clip}/{sample.still}"] = {
        "objects": objects,
        "tags": list(sample.tags),
        "second": sample.second,
        "license": sample.license,
        "sound": len(Path(sample.sound).read_bytes()),
        "picture": Path(sample.filepath).is_file(),
    }
in_order = [
    [sample.clip, sample.still] for group in dataset.load_saved_view("clips").iter_dynamic_groups() for sample in group
]
dataset.export(export_dir=own_folder, dataset_type=fo.types.FiftyOneDataset)
answer = {"samples": found, "in_order": in_order, "refused": refused, "persistent": dataset.persistent}
answer["sounding_is_a_field"] = "objects.detections.sounding" in dataset.get_field_schema(flat=True)
print(json.dumps(answer))
