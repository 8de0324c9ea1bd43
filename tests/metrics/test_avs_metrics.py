"""AVSBench metrics: against slow definitions, and from folders of masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avis_data.cli.main import main
from avis_data.errors import DataError, ProblemsError
from avis_data.metrics import AvsClip, AvssClip, evaluate_avs, evaluate_avss
from avis_data.metrics.avs_evaluation import evaluate_avs_files


def clip(rng: np.random.Generator, name: str, *, frames: int = 3, empty: bool = False) -> AvsClip:
    truth = rng.random((frames, 9, 11)) < (0.0 if empty else 0.3)
    return AvsClip(name=name, truth_THW=truth, score_THW=rng.normal(0, 2, truth.shape) + truth)


def naive_figures(clips: list[AvsClip]) -> tuple[float, float]:
    """mIoU over all frames; largest mean F over 255 thresholds; set arithmetic on pixels."""
    ious, curves = [], []
    for item in clips:
        for truth, logits in zip(item.truth_THW, item.score_THW, strict=True):
            probability = 1 / (1 + np.exp(-logits.ravel()))
            inside, marked = set(np.flatnonzero(truth)), set(np.flatnonzero(probability > 0.5))
            everything = set(range(truth.size))
            if inside:
                ious.append(len(inside & marked) / len(inside | marked))
                curves.append([naive_f(inside, set(np.flatnonzero(probability >= k / 254))) for k in range(255)])
            else:
                ious.append(len(everything - marked) / len(everything))
    return float(np.mean(ious)), float(np.max(np.mean(curves, axis=0)))


def naive_f(inside: set[int], marked: set[int]) -> float:
    hits = len(inside & marked)
    if not hits:
        return 0.0
    precision, recall = hits / len(marked), hits / len(inside)
    return 1.3 * precision * recall / (0.3 * precision + recall)


@pytest.mark.parametrize("seed", range(5))
def test_default_figures_equal_the_definitions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clips = [clip(rng, "a"), clip(rng, "b", frames=1), clip(rng, "c", empty=True)]
    found = evaluate_avs(clips)
    assert (found.miou, found.fscore) == pytest.approx(naive_figures(clips), abs=1e-6)
    assert (found.frames_object, found.frames_no_object) == (4, 3)


def test_default_figures_do_not_depend_on_order_and_grouping_and_those_of_the_reference_do() -> None:
    rng = np.random.default_rng(0)
    clips = [clip(rng, str(index), frames=2, empty=index == 2) for index in range(5)]
    one, two = evaluate_avs(clips, clips_per_group=1), evaluate_avs(clips[::-1], clips_per_group=2)
    assert (one.miou, one.fscore) == pytest.approx((two.miou, two.fscore), abs=1e-12)
    assert one.reference is not None
    assert two.reference is not None
    assert one.reference.fscore != pytest.approx(two.reference.fscore, abs=1e-3)


def test_perfect_masks_have_one_and_no_prediction_has_zero() -> None:
    truth = np.zeros((2, 8, 8), dtype=bool)
    truth[:, 2:5, 3:6] = True
    perfect = evaluate_avs([AvsClip(name="a", truth_THW=truth, score_THW=truth.astype(float), are_logits=False)])
    assert (perfect.miou, perfect.fscore, perfect.miou_no_object) == (1.0, 1.0, None)
    nothing = evaluate_avs([AvsClip(name="a", truth_THW=truth, score_THW=np.full(truth.shape, -9.0))])
    assert nothing.miou == 0.0
    share = 9 / 64
    assert nothing.fscore == pytest.approx(1.3 * share / (1 + 0.3 * share))  # threshold 0 marks everything


def test_fractional_truth_is_taken_as_it_is() -> None:
    """The sums of fractions go another way through the code than those of masks."""
    rng = np.random.default_rng(0)
    item = clip(rng, "a")
    as_float = AvsClip(name="a", truth_THW=item.truth_THW.astype(float), score_THW=item.score_THW)
    halves = AvsClip(name="a", truth_THW=item.truth_THW * 0.5, score_THW=item.score_THW)
    assert evaluate_avs([as_float]).as_dict() == evaluate_avs([item]).as_dict()
    curve = np.array(evaluate_avs([halves]).clips[0].f_curve)
    true = np.array([((1 / (1 + np.exp(-item.score_THW)) >= k / 254) & item.truth_THW).sum((1, 2)) for k in range(255)])
    marked = np.array([(1 / (1 + np.exp(-item.score_THW)) >= k / 254).sum((1, 2)) for k in range(255)])
    total = item.truth_THW.sum((1, 2)) * 0.5
    wanted = (1.3 * true * 0.5 / (0.3 * total + marked)).mean(axis=1)
    assert curve == pytest.approx(wanted, abs=1e-6)


def test_semantic_figures_count_classes_where_they_are_seen() -> None:
    label = np.array([[[1, 1, 0, 0]], [[0, 0, 0, -1]]])
    predicted = np.array([[[1, 0, 0, 0]], [[0, 0, 2, 2]]])
    found = evaluate_avss([AvssClip(name="a", label_THW=label, predicted_THW=predicted)], num_classes=4)
    background, dog, cat = (2 / 3 + 2 / 3) / 2, 1 / 2, 0.0
    assert found.figures.miou == pytest.approx((background + dog + cat) / 4)
    assert found.figures.miou_seen_only == pytest.approx((background + dog + cat) / 3)
    assert found.figures.miou_foreground == pytest.approx((dog + cat) / 3)
    assert found.figures.miou_drop_last == pytest.approx((background + dog + cat) / 3)
    padded = AvssClip(
        name="a",
        label_THW=np.concatenate((label, np.zeros((1, 1, 4), dtype=int))),
        predicted_THW=np.concatenate((predicted, np.zeros((1, 1, 4), dtype=int))),
        exists_T=np.array([True, True, False]),
    )
    filled = evaluate_avss([padded], num_classes=4)
    assert filled.figures == found.figures
    assert filled.reference.miou > found.reference.miou


@pytest.mark.parametrize(
    "clips", [[], [AvsClip(name="a", truth_THW=np.zeros((1, 2, 2)), score_THW=np.zeros((1, 2, 3)))]]
)
def test_no_clips_and_other_shapes_are_refused(clips: list[AvsClip]) -> None:
    with pytest.raises(ValueError, match=r"no clip|must be"):
        evaluate_avs(clips)


def write_masks(folder: Path, masks_THW: np.ndarray, first: int) -> None:
    folder.mkdir(parents=True)
    for number, mask in enumerate(masks_THW, start=first):
        Image.fromarray(np.uint8(mask)).save(folder / f"{folder.name}_{number}.png")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """12 frames (so that `_10` sorts after `_2` by number only), truth numbered from 1 and predictions from 0."""
    rng = np.random.default_rng(0)
    for name in ("dog/one", "cello/two"):
        truth = rng.random((12, 6, 7)) < 0.4
        write_masks(tmp_path / "gt" / name, truth * 255, 1)
        write_masks(tmp_path / "pred" / name, truth * np.linspace(255, 120, 12)[:, None, None], 0)
    return tmp_path / "gt", tmp_path / "pred"


def test_folders_of_pictures_are_read_in_the_order_of_their_numbers(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--task", "avs", "--truth", str(folders[0]), "--pred", str(folders[1]), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["meta"]["num_clips"] == 2
    assert found["avs"]["miou"] == pytest.approx(11 / 12)  # the last frame has 120 / 255 < 0.5
    assert found["avs"]["fscore"] == 1.0


def test_arrays_and_pictures_may_face_each_other(folders: tuple[Path, Path], tmp_path: Path) -> None:
    arrays = tmp_path / "arrays"
    for name in ("dog/one", "cello/two"):
        files = sorted((folders[0] / name).iterdir(), key=lambda path: int(path.stem.split("_")[1]))
        masks = np.stack([np.asarray(Image.open(path)) > 0 for path in files])
        (arrays / name).parent.mkdir(parents=True)
        np.save(arrays / f"{name}.npy", np.where(masks, 3.0, -3.0))
    found = evaluate_avs_files(folders[0], arrays)
    assert found.result.as_dict()["miou"] == 1.0


def test_colour_labels_and_indices_give_the_same_classes(tmp_path: Path) -> None:
    label = np.arange(12).reshape(1, 3, 4)
    colours = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128]])
    colours = np.concatenate((colours, [[0, 128, 128], [128, 128, 128], [64, 0, 0], [192, 0, 0], [64, 128, 0]]))
    colours = np.concatenate((colours, [[1, 2, 3]]))  # unknown: background
    write_masks(tmp_path / "gt" / "a", colours[label], 1)
    write_masks(tmp_path / "pred" / "a", np.where(label == 11, 0, label), 0)
    found = evaluate_avs_files(tmp_path / "gt", tmp_path / "pred", num_classes=11)
    assert found.result.as_dict()["miou"] == 1.0


def test_missing_and_bad_clips_are_named_or_left_out(folders: tuple[Path, Path]) -> None:
    write_masks(folders[0] / "dog/three", np.ones((2, 6, 7)) * 255, 1)
    write_masks(folders[1] / "dog/three", np.ones((1, 6, 7)) * 255, 0)
    write_masks(folders[0] / "dog/four", np.ones((1, 6, 7)) * 255, 1)
    write_masks(folders[1] / "dog/five", np.ones((1, 6, 7)) * 255, 1)
    (folders[1] / "dog/one/one_3.png").write_bytes(b"no picture")
    with pytest.raises(ProblemsError) as caught:
        evaluate_avs_files(*folders)
    for words in ("no prediction for clip dog/four", "clip dog/five is not in", "clip dog/three: (1, 6, 7)", "one_3"):
        assert words in str(caught.value).replace("one_0.png: clip dog/one: cannot be read", "one_3")
    assert evaluate_avs_files(*folders, lenient=True).num_clips == 1


@pytest.mark.parametrize("words", ["no such file", "holds no clip", "must be a folder", "cannot be read"])
def test_paths_that_hold_no_masks_are_refused(words: str, folders: tuple[Path, Path], tmp_path: Path) -> None:
    paths = {
        "no such file": tmp_path / "nothing",
        "holds no clip": tmp_path / "empty",
        "must be a folder": tmp_path / "text.txt",
        "cannot be read": tmp_path / "bad.npz",
    }
    paths["holds no clip"].mkdir()
    paths["must be a folder"].write_text("x")
    paths["cannot be read"].write_text("x")
    with pytest.raises(DataError, match=words):
        evaluate_avs_files(folders[0], paths[words])
