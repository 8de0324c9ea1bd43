"""ISAT's own reader: the objects of each label file of a folder, from the lowest layer up."""

import json
import sys
from pathlib import Path

from ISAT.annotation import Annotation

found = {}
for path in sorted(Path(sys.argv[1]).glob("0*.json")):
    objects = Annotation(str(path.with_suffix(".jpg")), str(path)).load_annotation().objects
    keys = ("category", "group", "segmentation", "layer", "note")
    ordered = sorted(objects, key=lambda entry: entry.layer)
    found[path.stem] = [{key: getattr(entry, key) for key in keys} for entry in ordered]
print(json.dumps(found))
