"""Odd truth and result files before every command that reads them: all take a file, or all refuse it for one reason.

A row is what is odd and the reason, in words of the message (None: the file is taken). A reader is a function that
raises what its command raises.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import avis_data as avis
from avis_data.errors import AvisError, DataError, ProblemsError
from avis_data.formats.ytvis import read_ytvis
from avis_data.metrics import Mode, evaluate_files
from avis_data.quality import validate
from avis_data.quality.stats import dataset_stats
from avis_data.report.clips import open_dataset
from avis_data.report.dataset import write_dataset_page
from avis_data.report.model import ModelFiles
from avis_data.training.data.split import open_split
from avis_data.training.predict.visualize import visualize
from avis_data.training.run.avis_task import AvisSplit
from support.ytvis_world import HEIGHT, WIDTH, truth, write_split

Change = Callable[[dict[str, Any]], object]
WITHHELD = "annotations: missing or null: the labels of this set are withheld"


def setting(table: str, key: str, value: Any) -> Change:
    """Another value in the last entry of a table."""
    return lambda content: content[table][-1].__setitem__(key, value)


def without(table: str, key: str) -> Change:
    return lambda content: [entry.pop(key) for entry in content[table]]


def mask(segmentation: Any) -> Change:
    """Another mask in the first frame of the first track."""
    return lambda content: content["annotations"][0]["segmentations"].__setitem__(0, segmentation)


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("test.json", data)
    return out.getvalue()


RUNS = {"size": [HEIGHT, WIDTH], "counts": [14, 6, HEIGHT * WIDTH - 20]}
TRUTH: dict[str, tuple[Change, str | None]] = {
    "as it should be": (lambda content: None, None),
    "no annotations": (lambda content: content.pop("annotations"), WITHHELD),
    "annotations null": (lambda content: content.update(annotations=None), WITHHELD),
    "annotations empty": (lambda content: content.update(annotations=[]), None),
    "annotations an object": (lambda content: content.update(annotations={}), "annotations: must be a list"),
    "a video without annotations": (lambda content: content["annotations"].__delitem__(slice(2, None)), None),
    "no categories": (lambda content: content.pop("categories"), "categories: must be a list, is missing or null"),
    "categories empty": (lambda content: content.update(categories=[]), "category_id: no category has the id 1"),
    "no videos": (lambda content: content.pop("videos"), "videos: must be a list, is missing or null"),
    "areas missing": (without("annotations", "areas"), None),
    "areas null": (setting("annotations", "areas", None), None),
    "areas text": (setting("annotations", "areas", "12"), "areas: must be a list of finite numbers and null"),
    "areas of text": (setting("annotations", "areas", ["12", 1, 2]), "areas: must be a list of finite numbers"),
    "areas not finite": (setting("annotations", "areas", [float("nan"), 1, 2]), "areas: must be a list of finite"),
    "areas too few": (setting("annotations", "areas", [16]), None),
    "iscrowd missing": (without("annotations", "iscrowd"), None),
    "iscrowd text": (setting("annotations", "iscrowd", "no"), "iscrowd: must be 0 or 1 (found 'no')"),
    "sizes of annotations missing": (lambda content: [without("annotations", k)(content) for k in SIZE], None),
    "sizes of videos missing": (lambda content: [without("videos", k)(content) for k in SIZE], None),
    "no size anywhere": (
        lambda content: [without(table, k)(content) for table in ("videos", "annotations") for k in SIZE],
        "height, width: missing, and the video has no annotation to take them from",
    ),
    "half a size": (without("videos", "height"), "height: must be a whole number of 1 or more (found nothing)"),
    "boxes missing": (without("annotations", "bboxes"), None),
    "lengths missing": (lambda content: [without(t, "length")(content) for t in ("videos", "annotations")], None),
    "another length": (setting("videos", "length", 9), "length: is 9, but there are 3 file_names"),
    "masks too few": (setting("annotations", "segmentations", [None]), "segmentations: has 1 entries, the video has 3"),
    "video id as text": (setting("videos", "id", "2"), "id: must be a whole number (found '2')"),
    "annotation id as text": (setting("annotations", "id", "4"), "id: must be a whole number (found '4')"),
    "annotation id missing": (without("annotations", "id"), "id: must be a whole number (found nothing)"),
    "category id 0": (setting("categories", "id", 0), "id: must be a whole number of 1 or more (found 0)"),
    "video id twice": (setting("videos", "id", 1), "id: 1 is also the id of videos[0]"),
    "annotation id twice": (setting("annotations", "id", 1), "id: 1 is also the id of annotations[0]"),
    "category name twice": (setting("categories", "name", "person"), "name: 'person' is also the name of"),
    "video of nothing": (setting("annotations", "video_id", 7), "video_id: no sound video has the id 7"),
    "category of nothing": (setting("annotations", "category_id", 7), "category_id: no category has the id 7"),
    "frames without a folder": (setting("videos", "file_names", ["0.jpg"] * 3), "must be <video>/<frame>.jpg"),
    "frames that lead out": (setting("videos", "file_names", ["../0.jpg"] * 3), "could lead out of its folder"),
    "a rate of 0": (setting("videos", "fps", 0), "fps: must be a number above 0"),
    "flags too few": (setting("annotations", "sounding", [True]), "sounding: must be 3 of true, false or null"),
    "compressed RLE": (mask({"size": [HEIGHT, WIDTH], "counts": "P1<3<"}), "corrupt"),
    "uncompressed RLE": (mask(RUNS), None),
    "a list of RLE": (mask([RUNS, RUNS]), None),
    "RLE of another size": (mask({**RUNS, "size": [WIDTH, HEIGHT]}), "RLE size is"),
    "runs that do not fill": (mask({**RUNS, "counts": [3]}), "segmentations[0]"),
    "polygon with text": (mask([["a"] * 6]), "segmentations[0]"),
    "polygon not finite": (mask([[1, 1, 5, 1, float("inf"), 5]]), "segmentations[0]"),
    "polygon of two points": (mask([[1, 1, 5, 1]]), None),
    "silence as []": (mask([]), None),
    "mask as text": (mask("PPTl0"), "segmentations[0]: neither null, polygons"),
    "COCO": (lambda content: [content.pop("videos"), content.update(images=[{"id": 1}])], "this is COCO JSON"),
    "CocoVID": (
        lambda content: content.update(images=[{"id": 1, "video_id": 1}], videos=[{"id": 1, "name": "a"}]),
        "this is CocoVID JSON",
    ),
}
SIZE = ("height", "width")
FORMS: dict[str, tuple[Callable[[bytes], bytes], str | None]] = {
    "gzip": (gzip.compress, None),
    "gzip torn": (lambda data: gzip.compress(data)[:-20], "torn gzip"),
    "zip": (zipped, "is a zip archive"),
    "cut off": (lambda data: data[:-20], "not JSON (line 1"),
    "empty": (lambda data: b"", "not JSON (line 1"),
    "Latin-1": (lambda data: data.replace(b"person", b"pers\xf6n"), "cannot be read as JSON"),
    "a byte order mark": (lambda data: b"\xef\xbb\xbf" + data, None),
    "a list": (lambda data: b"[]", "must be"),
    "a number": (lambda data: b"7", "must be"),
}
RESULTS: dict[str, tuple[Callable[[list[dict[str, Any]]], object], str | None]] = {
    "as they should be": (lambda found: None, None),
    "none": (lambda found: found.clear(), None),
    "score NaN": (lambda found: found[0].update(score=float("nan")), "score: must be a finite number"),
    "score text": (lambda found: found[0].update(score="0.5"), "score: must be a finite number"),
    "score missing": (lambda found: found[0].pop("score"), "score: must be a finite number"),
    "score true": (lambda found: found[0].update(score=True), "score: must be a finite number"),
    "video id text": (lambda found: found[0].update(video_id="1"), "video_id: must be a whole number"),
    "video unknown": (lambda found: found[0].update(video_id=7), "video_id: no sound video has the id 7"),
    "category unknown": (lambda found: found[0].update(category_id=7), "category_id: no category has the id 7"),
    "category missing": (lambda found: found[0].pop("category_id"), "category_id: must be a whole number"),
    "masks too many": (lambda found: found[0]["segmentations"].append(None), "segmentations: has 4 entries"),
    "masks missing": (lambda found: found[0].pop("segmentations"), "segmentations: must be a list"),
    "uncompressed RLE": (lambda found: found[0]["segmentations"].__setitem__(0, RUNS), None),
    "polygons": (lambda found: found[0]["segmentations"].__setitem__(0, [[1, 1, 5, 1, 5, 5]]), None),
    "RLE of another size": (
        lambda found: found[0]["segmentations"].__setitem__(0, {**RUNS, "size": [WIDTH, HEIGHT]}),
        "RLE size is",
    ),
    "RLE corrupt": (
        lambda found: found[0]["segmentations"].__setitem__(0, {"size": [HEIGHT, WIDTH], "counts": "000"}),
        "segmentations[0]",
    ),
    "an entry of text": (lambda found: found.append("x"), "must be an object, is text"),  # type: ignore[arg-type]
}


def results_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"video_id": e["video_id"], "category_id": e["category_id"], "score": 0.5, "segmentations": e["segmentations"]}
        for e in content["annotations"]
    ]


class Set:
    """A dataset of one split whose truth file, and results, are odd."""

    def __init__(self, root: Path) -> None:
        self.root, self.truth, self.results = root, root / "test.json", root.parent / "results.json"

    def validate(self) -> None:
        found = [finding for finding in validate(self.truth).findings.kept if finding.code == "unreadable"]
        if found:
            raise DataError("\n".join(map(str, found)))

    def stats(self) -> None:
        dataset_stats(self.root)

    def report(self) -> None:
        write_dataset_page(open_dataset(self.root), self.root.parent / "page.html", max_clips=0)

    def open(self) -> None:
        list(avis.open(self.root))

    def train(self) -> None:
        AvisSplit(open_split(self.root, "test", num_classes=None, audio=None)).need_labels()

    def evaluate(self) -> None:
        evaluate_files(self.truth, self.results, modes=[Mode.STRICT])

    def visualize(self) -> None:
        """All is read before the clips are chosen, and drawing takes seconds."""
        with pytest.raises(AvisError) as caught:
            visualize(
                self.root, {"": self.results}, self.root.parent / "shown", split_name="test", clip_ids=["nothing"]
            )
        if "has no clip nothing" not in str(caught.value):
            raise caught.value

    def report_model(self) -> None:
        model = ModelFiles(run=None, truth=self.truth, predictions=self.results, shown=None)
        write_dataset_page(open_dataset(self.root), self.root.parent / "page.html", max_clips=0, model=model)

    def with_predictions(self) -> None:
        avis.open(self.root).split("test").with_predictions(self.results)


READ_TRUTH = (Set.validate, Set.stats, Set.report, Set.open, Set.train, Set.evaluate, Set.visualize)
READ_RESULTS = (Set.evaluate, Set.visualize, Set.report_model, Set.with_predictions)
NEED_LABELS = {"train", "evaluate"}


@pytest.fixture
def odd(tmp_path: Path) -> Set:
    root = tmp_path / "set"
    root.mkdir()
    write_split(root, "test", ["alpha", "beta"])
    found = Set(root)
    found.results.write_text(json.dumps([]))
    return found


def said(read: Callable[[Set], None], odd: Set) -> str | None:
    """What a reader refuses a file with; None: it took it."""
    try:
        read(odd)
    except ProblemsError as error:
        return "\n".join(map(str, error.problems))
    except DataError as error:
        return str(error)
    return None


def agree(readers: tuple[Callable[[Set], None], ...], odd: Set, reason: str | None) -> None:
    found = {read.__name__: said(read, odd) for read in readers}
    if reason == WITHHELD:
        assert {name for name, text in found.items() if text is not None} == NEED_LABELS & set(found), found
    elif reason is None:
        assert set(found.values()) == {None}, found
    assert all(text is None or reason is None or reason in text for text in found.values()), found
    assert reason in (None, WITHHELD) or None not in found.values(), found


@pytest.mark.parametrize("case", TRUTH)
def test_all_say_the_same_of_odd_truth(case: str, odd: Set) -> None:
    change, reason = TRUTH[case]
    content = copy.deepcopy(truth(["alpha", "beta"]))
    change(content)
    odd.truth.write_text(json.dumps(content))
    agree(READ_TRUTH, odd, reason)


@pytest.mark.parametrize("case", FORMS)
def test_all_say_the_same_of_another_form(case: str, odd: Set) -> None:
    change, reason = FORMS[case]
    odd.truth.write_bytes(change(json.dumps(truth(["alpha", "beta"])).encode()))
    agree(READ_TRUTH, odd, reason)


@pytest.mark.parametrize("case", RESULTS)
def test_all_say_the_same_of_odd_results(case: str, odd: Set) -> None:
    change, reason = RESULTS[case]
    content = results_of(copy.deepcopy(truth(["alpha", "beta"])))
    change(content)
    odd.results.write_text(json.dumps(content))
    agree(READ_RESULTS, odd, reason)


def test_withheld_labels_are_said_where_nothing_needs_them(odd: Set) -> None:
    """And count as unknown, not as silence."""
    content = truth(["alpha", "beta"])
    del content["annotations"]
    odd.truth.write_text(json.dumps(content))
    assert [f.code for f in validate(odd.truth).findings.kept if "withheld" in str(f)] == ["labels-withheld"]
    figures = dataset_stats(odd.root)["test"]
    assert (figures.videos_without_labels, figures.silent_frames, figures.frames) == (2, 0, 6)
    odd.report()
    assert "labels of this set are withheld" in (odd.root.parent / "page.html").read_text()
    assert read_ytvis(odd.truth).has_annotations is False
