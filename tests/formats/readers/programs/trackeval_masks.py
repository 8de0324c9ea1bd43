"""TrackEval's readers of KITTI MOTS and DAVIS: the objects of each frame of a split, and the split against itself.

Arguments: `mots` or `davis`, the folder of the truth, an empty folder for its copy as results, and a file with
sequence and length on each line.
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
from trackeval.datasets import DAVIS, KittiMOTS
from trackeval.metrics import HOTA

form, truth, results, listed = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
lengths = {name: int(length) for name, length in (line.split() for line in listed.read_text().splitlines())}
shutil.copytree(truth, results / "copy" / "data")
config = {
    "GT_FOLDER": str(truth),
    "TRACKERS_FOLDER": str(results),
    "TRACKERS_TO_EVAL": ["copy"],
    "SEQ_INFO": lengths,
    "PRINT_CONFIG": False,
}
if form == "mots":
    dataset = KittiMOTS({**config, "GT_LOC_FORMAT": "{gt_folder}/{seq}.txt"})
else:
    dataset = DAVIS(config)
found = {}
for name in lengths:
    raw = dataset.get_raw_seq_data("copy", name)
    classes = raw.get("gt_classes") or [[0] * len(ids) for ids in raw["gt_ids"]]
    frames = [
        [
            {"id": int(id_), "class": int(class_), "mask": {"size": mask["size"], "counts": mask["counts"].decode()}}
            for id_, class_, mask in zip(ids, of_frame, masks, strict=True)
        ]
        for ids, of_frame, masks in zip(raw["gt_ids"], classes, raw["gt_dets"], strict=True)
    ]
    scores = {}
    for class_name in dataset.class_list:
        data = dataset.get_preprocessed_seq_data(raw, class_name)
        if data["num_gt_dets"]:
            scores[class_name] = float(np.mean(HOTA().eval_sequence(data)["HOTA"]))
    found[name] = {"frames": frames, "hota": scores}
print(json.dumps(found))
