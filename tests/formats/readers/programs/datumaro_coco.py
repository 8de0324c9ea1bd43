"""datumaro's COCO instances reader: a list of objects of each picture of a split."""

import json
import sys

import numpy as np
from datumaro.components.dataset import Dataset
from pycocotools import mask as coco_mask

dataset = Dataset.import_from(sys.argv[1], "coco_instances")
names = [label.name for label in dataset.categories()[next(iter(dataset.categories()))]]
found = {}
for item in dataset:
    objects = []
    for annotation in item.annotations:
        if annotation.type.name != "mask":
            continue  # a box comes beside each mask
        packed = coco_mask.encode(np.asfortranarray(annotation.image.astype(np.uint8)))
        objects.append(
            {
                "category": names[annotation.label],
                "attributes": dict(annotation.attributes),
                "mask": {"size": packed["size"], "counts": packed["counts"].decode()},
            }
        )
    found[f"{item.subset}/{item.id}"] = {"objects": objects, "has_picture": item.media is not None}
print(json.dumps(found))
