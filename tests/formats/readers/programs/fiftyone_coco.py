"""FiftyOne's COCO importer, which needs no database: a list of objects of each picture of a file."""

import json
import sys

import numpy as np
from fiftyone.utils.coco import COCODetectionDatasetImporter
from pycocotools import mask as coco_mask

pictures, labels = sys.argv[1:]
importer = COCODetectionDatasetImporter(data_path=pictures, labels_path=labels, label_types="segmentations")
found = {}
with importer:
    for path, metadata, label in importer:
        objects = []
        for detection in label.detections if label is not None else []:
            whole = np.zeros((metadata.height, metadata.width), np.uint8)
            x, y = (round(v) for v in np.array(detection.bounding_box[:2]) * (metadata.width, metadata.height))
            height, width = detection.mask.shape
            whole[y : y + height, x : x + width] = detection.mask
            packed = coco_mask.encode(np.asfortranarray(whole))
            mask = {"size": packed["size"], "counts": packed["counts"].decode()}
            objects.append({"category": detection.label, "mask": mask, "track_id": detection["track_id"]})
        found[path] = objects
print(json.dumps(found))
