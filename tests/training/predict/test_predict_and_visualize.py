"""Prediction of exports and of video files, what is drawn of it, and the errors on the way."""

from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from avis_data.errors import AvisError, ProblemsError
from avis_data.masks.rle import Rle, encode
from avis_data.masks.spool import GrowingMasks, MaskSpool
from avis_data.report.clips import ClipView
from avis_data.training.checkpoints.trained import config_of_weights, weights_metadata
from avis_data.training.data.clips import PredictedTrack
from avis_data.training.data.split import open_split
from avis_data.training.predict.predict import PredictRequest, predict
from avis_data.training.predict.results import read_results, write_results
from avis_data.training.predict.visualize import panel_titles
from avis_data.training.registry import build_model
from avis_data.training.run.run_folder import RunFolder
from support.media_files import ffmpeg
from support.tiny_training import TINY, in_process, started, tiny_config

ANY_SCORE = ("--set", "predict.score_threshold=0.0", "--set", "predict.top_k=3")


@pytest.fixture(scope="module")
def results(trained: Path, world_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results") / "results.json"
    request = PredictRequest(
        weights=trained,
        data=world_export,
        settings=["predict.score_threshold=0.0", "predict.top_k=3"],
        device_name="cpu",
    )
    summary = predict(request, out)
    assert (summary.clips, summary.silent_clips) == (2, 0) and summary.tracks > 0
    return out


def test_evaluate_takes_what_predict_writes(
    results: Path, world_export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = in_process(capsys, "evaluate", "--truth", world_export / "test.json", "--pred", results, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["meta"]["num_predicted_tracks"] == len(json.loads(results.read_text()))
    first = json.loads(results.read_text())[0]
    assert [mask["size"] for mask in first["segmentations"]] == [[64, 96]] * 4


def test_a_perfect_model_is_written_as_perfect(
    world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = open_split(world_export, "test", num_classes=26, audio=None)
    height, width = split.clips[0].size_hw
    empty = Rle(height, width, encode(np.zeros((height, width), dtype=bool)).counts)
    perfect = [
        (
            clip,
            [
                PredictedTrack(label=true.label, score=0.9, query=k, masks=tuple(mask or empty for mask in true.masks))
                for k, true in enumerate(clip.tracks)
            ],
        )
        for clip in split.clips
    ]
    write_results(tmp_path / "results.json", perfect)
    ran = in_process(
        capsys, "evaluate", "--truth", world_export / "test.json", "--pred", tmp_path / "results.json", "--json"
    )
    assert [ran.json["strict"][name] for name in ("AP_all", "HOTA", "FSLA")] == [1.0, 1.0, 1.0]
    assert read_results(tmp_path / "results.json", split)[split.clips[0].clip_id] == perfect[0][1]


def test_tracks_are_written_mask_by_mask(world_export: Path, tmp_path: Path) -> None:
    """As one JSON text of all of them, in memory that does not hold the masks of one track."""
    clip = open_split(world_export, "test", num_classes=26, audio=None).clips[0]
    long, spool = GrowingMasks(MaskSpool()), MaskSpool()
    for number in range(2000):
        long.append(Rle(64, 96, "\\0" * 2000 + str(number)))
    few = GrowingMasks(spool)
    few.append(Rle(64, 96, "0"))
    tracks = [PredictedTrack(label=k, score=0.25, query=k, masks=masks) for k, masks in enumerate((long, few, ()))]
    tracemalloc.start()
    try:
        assert write_results(tmp_path / "results.json", [(clip, tracks)]) == 3
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 1_000_000, "the masks of the first track are 8 MB"
    rows = [
        json.dumps({
            "video_id": clip.video_id, "score": 0.25, "category_id": track.label + 1,
            "segmentations": [{"size": [64, 96], "counts": mask.counts} for mask in track.masks],
        })
        for track in tracks
    ]  # fmt: skip
    assert (tmp_path / "results.json").read_text() == "[\n" + ",\n".join(rows) + "\n]\n"


def test_bad_entries_of_results_are_all_told(world_export: Path, tmp_path: Path) -> None:
    split = open_split(world_export, "test", num_classes=26, audio=None)
    good = {"video_id": split.clips[0].video_id, "score": 0.5, "category_id": 1, "segmentations": [None] * 4}
    bad = [{**good, "video_id": 999}, {**good, "segmentations": [None]}, {**good, "segmentations": [5] * 4}, good]
    (tmp_path / "results.json").write_text(json.dumps(bad))
    with pytest.raises(ProblemsError) as caught:
        read_results(tmp_path / "results.json", split)
    assert len(caught.value.problems) == 3


def test_the_weights_of_a_run_say_what_they_are(trained: Path) -> None:
    config = config_of_weights(trained / "best.safetensors")
    assert config is not None and config.model.frame_queries == 4 and config.model_name == "avism"


def test_weights_of_another_model_are_told(
    trained: Path, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = in_process(
        capsys, "predict", "--checkpoint", trained, "--data", world_export, "--out", tmp_path / "r.json",
        "--set", "model.video_queries=9",
    )  # fmt: skip
    assert ran.code == 3 and "another model" in ran.err and "query_features" in ran.err
    assert not (tmp_path / "r.json").exists()


def test_weights_that_say_nothing_need_a_config(
    trained: Path, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file(load_file(trained / "best.safetensors"), tmp_path / "bare.safetensors")
    arguments = [
        "predict",
        "--checkpoint",
        tmp_path / "bare.safetensors",
        "--data",
        world_export,
        "--out",
        tmp_path / "r",
    ]
    ran = in_process(capsys, *arguments)
    assert ran.code == 2 and "--config" in ran.err
    options = [part for setting in TINY for part in ("--set", setting)]
    assert in_process(capsys, *arguments, "--config", "avism_tiny", *options).code == 0


def test_weights_must_be_of_the_model_that_is_asked_for(
    trained: Path, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", "--checkpoint", trained, "--data", world_export, "--out", tmp_path / "r.json"]
    ran = in_process(capsys, *arguments, "--model", "rcf")
    assert ran.code == 2 and "holds the weights of avism, not of rcf" in ran.err
    ran = in_process(capsys, *arguments, "--model", "rfc")
    assert ran.code == 2 and "there are: avism, afcv, rcf, avs-bg" in ran.err
    ran = in_process(capsys, *arguments, "--model", "avism", "--config", "rcf_tiny")
    assert ran.code == 2 and "is a config of rcf, not of avism" in ran.err
    assert not (tmp_path / "r.json").exists()
    assert in_process(capsys, *arguments, "--model", "avism").code == 0
    save_file(load_file(trained / "best.safetensors"), tmp_path / "bare.safetensors")
    ran = in_process(
        capsys, "predict", "--model", "avism", "--checkpoint", tmp_path / "bare.safetensors", *arguments[3:]
    )
    assert ran.code == 3 and "another model" in ran.err  # the published recipe is not that of these weights


def test_a_video_file_is_predicted_and_kept_as_a_dataset(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, tone = "testsrc2=size=96x64:rate=8:duration=3", "sine=frequency=500:duration=3"
    ffmpeg(tmp_path, "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", tone, "-pix_fmt", "yuv420p", "my clip.mp4")
    ran = in_process(
        capsys, "predict", "--checkpoint", trained, "--video", tmp_path / "my clip.mp4", "--keep", tmp_path / "kept",
        "--out", tmp_path / "results.json", "--json", *ANY_SCORE,
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.json["clips"] == 1
    entries = json.loads((tmp_path / "results.json").read_text())
    assert entries and all(len(entry["segmentations"]) == 3 for entry in entries)
    shown = in_process(
        capsys, "visualize", "--data", tmp_path / "kept", "--pred", tmp_path / "results.json", "--out", tmp_path / "v"
    )
    assert shown.code == 0, shown.err
    assert sorted(path.name for path in (tmp_path / "v").iterdir()) == ["my_clip.mp4", "my_clip.png"]


def test_a_video_that_is_none_is_told(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    arguments = ["predict", "--checkpoint", trained, "--out", tmp_path / "r.json", "--video"]
    ran = in_process(capsys, *arguments, tmp_path / "a.mp4")
    assert ran.code == 3 and "a.mp4" in ran.err and "not_media" in ran.err
    assert in_process(capsys, *arguments, tmp_path / "missing.mp4").code == 3
    assert in_process(capsys, *arguments, tmp_path / "a.mp4", "--data", tmp_path).code == 2


def test_a_video_without_sound_is_told_and_the_advice_is_good(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ffmpeg(tmp_path, "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=8:duration=2", "-pix_fmt", "yuv420p", "a.mp4")
    arguments = ["predict", "--checkpoint", trained, "--out", tmp_path / "r.json", "--video"]
    ran = in_process(capsys, *arguments, tmp_path / "a.mp4")
    assert ran.code == 3 and "this model hears" in ran.err and "recipe" not in ran.err
    advice = ran.err.split(": ffmpeg ")[1].split()
    ffmpeg(tmp_path, *advice)
    ran = in_process(capsys, *arguments, tmp_path / "with_silence.mp4")
    assert ran.code == 0, ran.err


def test_vggish_without_weights_is_told(
    world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVIS_DATA_HOME", str(tmp_path / "home"))
    config = tiny_config("data.audio=vggish")
    save_file(build_model(config).state_dict(), tmp_path / "w.safetensors", metadata=weights_metadata(config))
    ffmpeg(tmp_path, "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=8:duration=1", "-pix_fmt", "yuv420p", "a.mp4")
    ran = in_process(
        capsys,
        "predict",
        "--checkpoint",
        tmp_path / "w.safetensors",
        "--video",
        tmp_path / "a.mp4",
        "--out",
        tmp_path / "r",
    )
    assert ran.code == 5 and "no VGGish weights" in ran.err
    assert "--weights FILE" in ran.err and "--untrained" not in ran.err  # what this command has, and has not


def test_visualize_writes_a_video_with_the_sound_and_a_sheet(
    results: Path, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = in_process(
        capsys, "visualize", "--data", world_export, "--pred", results, "--out", tmp_path / "shown", "--json"
    )
    assert ran.code == 0, ran.err
    names = [clip.clip_id for clip in open_split(world_export, "test", num_classes=26, audio=None).clips]
    assert sorted(Path(file).name for file in ran.json["files"]) == sorted(
        f"{name}.{suffix}" for name in names for suffix in ("mp4", "png")
    )
    with av.open(str(tmp_path / "shown" / f"{names[0]}.mp4")) as video:
        assert [stream.type for stream in video.streams] == ["video", "audio"]
        assert abs(float(video.duration) / av.time_base - 4.0) < 0.2
        heard = np.concatenate([frame.to_ndarray().ravel() for frame in video.decode(audio=0)])
    assert np.abs(heard).max() > 0.01
    with Image.open(tmp_path / "shown" / f"{names[0]}.png") as sheet:
        assert sheet.width > 300 and len(sheet.getcolors(1 << 24) or []) > 100


def test_models_are_shown_side_by_side_each_under_its_name(
    results: Path, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second model has nothing in the clip, which its panel says; that is no error."""
    found = json.loads(results.read_text())
    first, second = (clip for clip in open_split(world_export, "test", num_classes=26, audio=None).clips)
    for name, entries in (("avism", found), ("rcf", [one for one in found if one["video_id"] != first.video_id])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.json").write_text(json.dumps(entries))
    given = ["visualize", "--data", world_export, "--out", tmp_path / "v", "--clips", first.clip_id]
    both = ["--pred", tmp_path / "avism/results.json", "--pred", tmp_path / "rcf/results.json"]
    ran = in_process(capsys, *given, *both, "--json")
    assert ran.code == 0, ran.err
    assert [Path(file).name for file in ran.json["files"]] == [f"{first.clip_id}.mp4", f"{first.clip_id}.png"]
    tracks = sum(one["video_id"] == first.video_id for one in found)
    with av.open(str(tmp_path / "v" / f"{first.clip_id}.mp4")) as video:
        assert [stream.type for stream in video.streams] == ["video", "audio"]
        picture = next(video.decode(video=0))
        assert (picture.width, picture.height // 2) == (640 + 4 + 640, (26 + 427 + 56 + 22 * tracks) // 2)
    views = {}

    def kept(panels: list[ClipView], target: Path) -> None:
        views[target.stem] = panels

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("avis_data.report.render.render_video", kept)
        ran = in_process(capsys, *given[:-2], *both)
    assert ran.code == 0, ran.err
    assert [view.title for view in views[first.clip_id]] == ["avism", "rcf: nothing found"]
    assert [view.title for view in views[second.clip_id]] == ["avism", "rcf"]
    assert [len(view.tracks) for view in views[first.clip_id]] == [tracks, 0]


def test_predictions_that_cannot_be_shown_together_are_told(
    results: Path, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = [{**json.loads(results.read_text())[0], "video_id": 77}]
    (tmp_path / "other.json").write_text(json.dumps(other))
    (tmp_path / "masks").mkdir()
    given = ["visualize", "--data", world_export, "--out", tmp_path / "v", "--pred", results]
    for more, code, words in (
        (["--pred", tmp_path / "other.json"], 3, ["other.json: 1 entries cannot be used with test.json", "77"]),
        (["--pred", tmp_path / "none.json"], 3, ["none.json"]),
        (["--pred", tmp_path / "masks"], 2, ["masks are predictions of different kinds"]),
        (["--pred", results.parent / "." / results.name], 2, ["is given twice"]),
        (["--title", "a", "--title", "b"], 2, ["1 predictions need as many titles", "--title NAME1"]),
        (["--pred", tmp_path / "other.json", "--title", "a", "--title", "a"], 2, ["each another one"]),
        (["--title", " "], 2, ["as many titles"]),
    ):
        ran = in_process(capsys, *given, *more)
        assert ran.code == code and all(word in ran.err for word in words), (more, ran.err)
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["avism.json", "rcf.json"], ["avism", "rcf"]),
        (["runs/avism/results.json", "runs/rcf/results.json"], ["avism", "rcf"]),
        (["avism/results.json", "results.json"], ["avism", "/"]),
        (["a/x/best.json", "b/x/best.json", "b/x/last.json"], ["a/x/best", "b/x/best", "b/x/last"]),
        (["a/best.json", "b/best.json", "b/last.json"], ["a/best", "b/best", "b/last"]),
        (["masks.v1", "masks.v2"], ["masks.v1", "masks.v2"]),
    ],
)
def test_panels_are_named_after_what_differs_in_the_paths(paths: list[str], names: list[str], tmp_path: Path) -> None:
    found = list(panel_titles([tmp_path / path for path in paths]))
    assert found == [tmp_path.name if name == "/" else name for name in names]


def test_a_panel_of_a_file_in_the_root_of_the_disk_has_a_name() -> None:
    assert list(panel_titles([Path("/avism/results.json"), Path("/results.json")])) == ["avism/results", "results"]


def test_a_panel_is_named_as_is_said() -> None:
    paths = [Path("avism.json"), Path("rcf.json")]
    assert panel_titles(paths, ["ours", "theirs"]) == {"ours": paths[0], "theirs": paths[1]}
    assert panel_titles(paths[:1]) == {"": paths[0]} and panel_titles(paths[:1], ["ours"]) == {"ours": paths[0]}


def test_other_rates_than_one_still_a_second_are_shown_at_their_own_pace(
    results: Path, export_copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = json.loads((export_copy / "test.json").read_text())
    truth["videos"][0]["fps"] = 2.0
    (export_copy / "test.json").write_text(json.dumps(truth))
    name = truth["videos"][0]["file_names"][0].split("/")[0]
    ran = in_process(
        capsys, "visualize", "--data", export_copy, "--pred", results, "--out", tmp_path / "v", "--clips", name
    )
    assert ran.code == 0, ran.err
    with av.open(str(tmp_path / "v" / f"{name}.mp4")) as video:
        assert float(video.streams.video[0].average_rate) == 4.0  # each still twice: as near as can be to 5
        assert abs(float(video.duration) / av.time_base - 2.0) < 0.2  # four stills
        pictures = [frame.to_ndarray(format="rgb24")[:300].astype(int) for frame in video.decode(video=0)]
    change = [np.abs(after - before).mean() for before, after in pairwise(pictures)]
    assert len(pictures) == 8 and min(change[1::2]) > 2 * max(change[::2])


def test_visualize_refuses_clips_that_are_not_there(
    results: Path, world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = in_process(
        capsys, "visualize", "--data", world_export, "--pred", results, "--out", tmp_path, "--clips", "nobody"
    )
    assert ran.code == 3 and "nobody" in ran.err


def test_a_run_is_not_written_over(trained: Path, world_export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train-baseline", "--data", world_export, "--config", "avism_tiny", "--out", trained]
    ran = in_process(capsys, *arguments)
    assert ran.code == 2 and "--resume" in ran.err
    elsewhere = [*arguments[:-1], trained / "nothing"]
    assert "holds no run" in in_process(capsys, *elsewhere, "--resume").err
    assert "own config" in in_process(capsys, *arguments, "--resume").err


def test_two_trainings_do_not_write_in_one_folder(
    world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [part for setting in TINY for part in ("--set", setting)]
    with RunFolder(tmp_path / "run").claimed():
        ran = in_process(
            capsys,
            "train-baseline",
            "--data",
            world_export,
            "--config",
            "avism_tiny",
            "--out",
            tmp_path / "run",
            *options,
        )
    assert ran.code == 5 and "another training" in ran.err


def test_other_data_are_refused_on_resume(trained: Path, export_copy: Path) -> None:
    path = export_copy / "train.json"
    path.write_text(path.read_text().replace('"iscrowd": 0', '"iscrowd":  0', 1))
    config = config_of_weights(trained / "best.safetensors")
    assert config is not None
    with pytest.raises(AvisError, match=r"another train\.json"):
        started(config, export_copy, trained, resume=True)


def test_start_weights_are_taken(trained: Path, world_export: Path, tmp_path: Path) -> None:
    from avis_data.training.run.train import train_baseline

    config = tiny_config("loop.iterations=1", "optimiser.rate=1e-12", "optimiser.weight_decay=0")
    train_baseline(world_export, config, tmp_path / "run", init=trained, device_name="cpu")
    given = load_file(trained / "best.safetensors")
    found = load_file(next((tmp_path / "run" / "checkpoints").glob("*/model.safetensors")))
    assert all(torch.allclose(found[name], tensor, atol=1e-6) for name, tensor in given.items())


def test_a_missing_device_is_told(world_export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train-baseline", "--data", world_export, "--config", "avism_tiny", "--out", tmp_path / "run"]
    assert in_process(capsys, *arguments, "--device", "gpu7").code == 2
    if not torch.cuda.is_available():
        ran = in_process(capsys, *arguments, "--device", "cuda")
        assert ran.code == 5 and "--device cpu" in ran.err
