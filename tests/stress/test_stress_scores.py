"""What results under other sounds are worth: against sums by hand, of any program's files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from avis_data.errors import DataError, ProblemsError
from avis_data.metrics import Mode, evaluate_files
from avis_data.metrics.bootstrap import draw_weights
from avis_data.stress.plan import Given, StressPlan, make_plan, write_plan
from avis_data.stress.scoring import ModelScore, ranked, score_model
from support.stress_world import CLIPS, write_results, write_stress_world
from support.tiny_training import in_process

Marked = Mapping[str, Mapping[int, Sequence[int]]]

TRUTH: Marked = {name: clip.heard for name, clip in CLIPS.items()}
WANTED = ("silence", "other-category", "shift-2s", "snr-20db")
DRAWS = 300
HEARS: dict[str, Marked] = {
    "true": TRUTH,
    "silence": {},
    "other-category": {"a": {1: [0]}},
    "shift-2s": {"a": {1: [2, 3]}, "b": {2: [3]}, "d": {1: [2], 2: [2]}},
    "snr-20db": TRUTH,
}
"""A model that hears: with late sound it marks late; in one frame of a clip it is deceived by another's sound."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stress_world(tmp_path_factory.mktemp("scores") / "export")


@pytest.fixture(scope="module")
def plan(data: Path) -> StressPlan:
    return make_plan(Given(data=data), conditions=WANTED)


def scored(plan: StressPlan, data: Path, folder: Path, name: str = "model") -> ModelScore:
    return score_model(plan, data / "test.json", folder, name=name, num_draws=DRAWS, seed=7)


def right_frames(marked: Marked) -> dict[str, tuple[int, int]]:
    """Clip -> frames in which just what sounds by the truth is marked, of how many; marks are exact or not there.

    A track that is marked in too few frames to be the partner of any is not there in `marked`.
    """
    found = {}
    for name, clip in CLIPS.items():
        own, truth = marked.get(name, {}), TRUTH[name]
        right = sum(
            all((t in own.get(category, ())) == (t in truth.get(category, ())) for category in (1, 2, 3))
            for t in range(clip.seconds)
        )
        found[name] = (right, clip.seconds)
    return found


def shares(marked: Marked, clips: Sequence[str], weights_BV: np.ndarray) -> np.ndarray:
    """FSLA by hand in each draw."""
    right = right_frames(marked)
    rows = [
        sum(weight * right[name][0] for weight, name in zip(row, clips, strict=True))
        / sum(weight * right[name][1] for weight, name in zip(row, clips, strict=True))
        for row in weights_BV
    ]
    return np.array(rows)


def test_what_a_model_that_hears_loses_is_the_sum_by_hand(plan: StressPlan, data: Path, tmp_path: Path) -> None:
    found = scored(plan, data, write_results(tmp_path, HEARS))
    names = sorted(CLIPS)
    weights_BV = np.vstack((np.ones((1, 5)), draw_weights(5, DRAWS, np.random.default_rng(7))))
    by_name = {score.condition.name: score for score in found.conditions}
    lost = {}
    for name in ("silence", "snr-20db"):
        lost[name] = shares(TRUTH, names, weights_BV) - shares(HEARS[name], names, weights_BV)
        item = by_name[name].reliance["FSLA"]
        draws = lost[name][1:] - lost[name][1:].mean() + lost[name][0]
        assert item is not None and item.difference == pytest.approx(lost[name][0], abs=1e-12)
        assert [item.low, item.high] == pytest.approx(np.quantile(draws, [0.025, 0.975]).tolist(), abs=1e-9)
    # Of 21 frames, 8 have something that sounds: they are lost in silence, the other 13 are right.
    assert lost["silence"][0] == pytest.approx(8 / 21) and not lost["snr-20db"].any()


def test_what_is_marked_where_nothing_sounds_is_counted(plan: StressPlan, data: Path, tmp_path: Path) -> None:
    found = {s.condition.name: s for s in scored(plan, data, write_results(tmp_path, HEARS)).conditions}
    other = found["other-category"]
    # d has no donor: 4 + 4 + 3 + 6 frames of a, b, c, e; one mask in one of them.
    assert other.num_no_sound_frames == 17 and other.wrong_masks is not None and other.silent_right is not None
    assert other.wrong_masks.value == pytest.approx(1 / 17) and other.silent_right.value == pytest.approx(16 / 17)
    for figure in (other.silent_right, other.wrong_masks):
        assert figure.interval is not None and 0 <= figure.interval.low <= figure.value <= figure.interval.high
    assert other.silent_right.interval is not None and other.silent_right.interval.high <= 1
    silence = found["silence"]
    assert silence.silent_right is not None and silence.silent_right.value == 1.0
    late = found["shift-2s"]  # a 0, 1; b 0, 1, 2; c all; d 0, 1, 3; e all: what sounds late is marked late
    assert late.wrong_masks is not None and late.wrong_masks.value == 0.0


def test_fslan_is_what_evaluate_says_of_a_truth_in_which_nothing_sounds(
    plan: StressPlan, data: Path, tmp_path: Path
) -> None:
    marked: Marked = {"a": {1: [0, 1], 2: [1]}, "c": {1: [2]}, "e": {3: [0, 1, 2, 3]}}
    folder = write_results(tmp_path / "r", {"true": TRUTH, "silence": marked})
    ours = scored(plan, data, folder).conditions[0].silent_right
    truth = json.loads((data / "test.json").read_text())
    (tmp_path / "nothing.json").write_text(json.dumps({**truth, "annotations": []}))
    theirs = evaluate_files(tmp_path / "nothing.json", folder / "silence.json", modes=[Mode.STRICT])
    assert ours is not None and theirs.result.strict is not None
    assert ours.value == pytest.approx(theirs.result.strict.figures["FSLAn"]) == pytest.approx(14 / 21)


def test_a_model_that_does_not_hear_has_no_reliance_at_all(plan: StressPlan, data: Path, tmp_path: Path) -> None:
    marked: Marked = {"a": {1: [0, 1, 2]}, "b": {2: [0, 1]}, "d": {2: [0, 3]}}
    found = scored(plan, data, write_results(tmp_path, dict.fromkeys(("true", *WANTED), marked)))
    assert found.reliance is not None and found.reliance.interval is not None
    assert (found.reliance.value, found.reliance.interval.low, found.reliance.interval.high) == (0.0, 0.0, 0.0)
    for score in found.conditions:
        for item in score.reliance.values():
            assert item is not None and (item.difference, item.low, item.high, item.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_the_reliance_is_the_mean_over_the_conditions_that_count(plan: StressPlan, data: Path, tmp_path: Path) -> None:
    found = scored(plan, data, write_results(tmp_path, HEARS))
    counted = [s.reliance["FSLA"] for s in found.conditions if s.condition.name != "snr-20db"]
    assert found.reliance is not None
    assert found.reliance.value == pytest.approx(np.mean([item.difference for item in counted if item is not None]))
    assert [score.condition.counts for score in found.conditions] == [True, True, True, False]


def test_the_model_that_listens_most_stands_first(plan: StressPlan, data: Path, tmp_path: Path) -> None:
    deaf = scored(plan, data, write_results(tmp_path / "deaf", dict.fromkeys(("true", *WANTED), TRUTH)), "deaf")
    hears = scored(plan, data, write_results(tmp_path / "hears", HEARS), "hears")
    assert [model.name for model in ranked([deaf, hears])] == ["hears", "deaf"]
    assert [model.name for model in ranked([hears, deaf])] == ["hears", "deaf"]


def test_order_and_clips_beyond_a_condition_do_not_matter(plan: StressPlan, data: Path, tmp_path: Path) -> None:
    """A program may also give results of d, which has no donor, and lists its tracks in any order."""
    more = {**HEARS, "other-category": {"d": {3: [0, 1]}, "a": {1: [0]}}}
    one, other = (
        scored(plan, data, write_results(tmp_path / str(k), marked)) for k, marked in enumerate((HEARS, more))
    )
    assert one == other


def test_foreign_folders_are_told_what_is_missing_and_what_is_not_looked_at(
    plan: StressPlan, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plan(tmp_path / "stress.json", plan)
    folder = write_results(tmp_path / "theirs", {name: HEARS[name] for name in ("true", "silence", "snr-20db")})
    (folder / "hum.json").write_text("[]")
    (folder / "other-category.json").write_text('[{"video_id": 99, "category_id": 1, "score": 1, "segmentations": []}]')
    asked = ("stress", "score", tmp_path / "stress.json", folder, "--truth", data / "test.json", "--bootstrap", 20)
    ran = in_process(capsys, *asked)
    assert ran.code == 4 and "mAP lost" in ran.out
    assert "hum.json: not looked at" in ran.out and "shift-2s.json: no such file" in ran.out
    assert "other-category: left out" in ran.out and "no sound video has the id 99" in ran.out
    told = in_process(capsys, *asked, "--json").json["models"]["theirs"]
    assert told["missing"] == ["other-category", "shift-2s"] and set(told["conditions"]) == {"silence", "snr-20db"}


def test_one_bad_folder_does_not_stop_the_others(
    plan: StressPlan, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plan(tmp_path / "stress.json", plan)
    good = write_results(tmp_path / "good", HEARS)
    (tmp_path / "bad").mkdir()
    common = ("--truth", data / "test.json", "--bootstrap", 20, "--json", "--out", tmp_path / "scores.json")
    ran = in_process(capsys, "stress", "score", tmp_path / "stress.json", tmp_path / "bad", good, *common)
    assert ran.code == 4 and ran.json["ranking"] == ["good"] and "holds no true.json" in ran.err
    assert json.loads((tmp_path / "scores.json").read_text()) == ran.json
    alone = in_process(capsys, "stress", "score", tmp_path / "stress.json", tmp_path / "bad", *common)
    assert alone.code == 3 and "holds no true.json" in alone.err
    twice = in_process(capsys, "stress", "score", tmp_path / "stress.json", good, good, *common)
    assert twice.code == 2 and "twice" in twice.err


def test_truth_and_results_that_cannot_be_used_are_told(plan: StressPlan, data: Path, tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", HEARS)
    (tmp_path / "test.json").write_text((data / "test.json").read_text() + " ")
    for truth in (tmp_path / "test.json", tmp_path / "none.json"):
        with pytest.raises(DataError, match="not the truth that the plan was made for"):
            score_model(plan, truth, folder, name="model")
    only_true = write_results(tmp_path / "only", {"true": TRUTH})
    with pytest.raises(DataError, match="no condition"):
        scored(plan, data, only_true)
    (folder / "true.json").write_text('[{"video_id": 1}]')
    with pytest.raises(ProblemsError, match=r"true\.json"):
        scored(plan, data, folder)


def test_the_commands_tell_bad_input_in_words(
    plan: StressPlan, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "stress.json"
    write_plan(path, plan)
    torn = tmp_path / "torn.json"
    torn.write_text(path.read_text()[:100])
    for arguments, code, words in (
        (
            ["plan", "--data", data, "--conditions", "silense", "--out", tmp_path / "x.json"],
            2,
            "did you mean 'silence'",
        ),
        (["plan", "--data", data, "--conditions", ",", "--out", tmp_path / "x.json"], 2, "names no condition"),
        (["plan", "--data", data, "--on", "val", "--out", tmp_path / "x.json"], 3, "val.json"),
        (["plan", "--data", data, "--scenes", tmp_path / "none", "--out", tmp_path / "x.json"], 3, "no such file"),
        (["make", tmp_path / "none.json", "--data", data, "--out", tmp_path / "m"], 3, "no such file"),
        (["make", torn, "--data", data, "--out", tmp_path / "m"], 3, "not JSON"),
        (["make", path, "--data", data, "--conditions", "muted", "--out", tmp_path / "m"], 2, "it has: silence"),
        (["score", torn, tmp_path, "--truth", data / "test.json"], 3, "not JSON"),
    ):
        ran = in_process(capsys, "stress", *arguments)
        assert (ran.code, words in ran.err) == (code, True), (arguments, ran.err)
    assert not (tmp_path / "x.json").exists() and not (tmp_path / "m").exists()


def test_plan_and_make_go_on_where_they_stopped(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = tmp_path / "stress.json", tmp_path / "made"
    ran = in_process(capsys, "stress", "plan", "--data", data, "--conditions", "silence,muted,swapped", "--out", path)
    assert ran.code == 0 and "5 left out: nobody knows its sources" in ran.out
    first = in_process(capsys, "stress", "make", path, "--data", data, "--out", out, "--json")
    assert (
        first.json["conditions"]
        == {
            "silence": {"clips": 5, "made": True},
            "swapped": {"clips": 4, "made": True},
        }
        and "muted: applies to no clip" in first.err
    )
    again = in_process(capsys, "stress", "make", path, "--data", data, "--out", out, "--json")
    assert [made["made"] for made in again.json["conditions"].values()] == [False, False]
