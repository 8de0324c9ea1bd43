"""labelme's own reader and rasteriser: the shapes of each label file of a folder."""

import json
import sys
from pathlib import Path

import numpy as np
from labelme import utils
from labelme._label_file import read_label_file
from pycocotools import mask as coco_mask

found = {}
for path in sorted(Path(sys.argv[1]).glob("0*.json")):
    label_file = read_label_file(str(path))
    raw = json.loads(path.read_text())
    size = raw["imageHeight"], raw["imageWidth"]
    shapes = []
    for shape in label_file.shapes:
        _, ins = utils.shapes_to_label(size, [shape], {shape["label"]: 1})
        packed = coco_mask.encode(np.asfortranarray((ins > 0).astype(np.uint8)))
        mask = {"size": packed["size"], "counts": packed["counts"].decode()}
        kept = {key: shape[key] for key in ("label", "group_id", "flags", "shape_type")}
        shapes.append({**kept, "mask": mask})
    found[path.stem] = shapes
print(json.dumps(found))
