"""A source video is replaced by another one of the same name: no step after it may be left out."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.shell import Ran, avis_data


@pytest.mark.slow
def test_an_export_wants_every_step_after_the_change(tmp_path: Path) -> None:
    world, dataset = tmp_path / "world", tmp_path / "dataset"
    assert (
        avis_data("synth", "--num-clips", 3, "--seconds", 3, "--size", "96x64", "--seed", 5, "--out", world).code == 0
    )
    media = sorted((world / "media").iterdir())
    truth = ["import", "--format", "ytvis", world / "truth.json"]

    def run(*arguments: object) -> Ran:
        return avis_data("-C", dataset, *arguments)

    def export() -> Ran:
        return run("export", "--split", "2/1", "--force")

    assert run("run", "--list", world / "videos.csv", "--allow-local", "--untrained", "--workers", 1).code == 0
    assert run(*truth).code == 0 and export().code == 0
    before = (dataset / "exports" / "ytvis" / "files.sha256").read_bytes()
    shutil.copyfile(media[1], media[0])
    assert run("fetch", "--force").code == 0
    for step, words in (
        (["extract"], "stills: are not those that the recipe, the list and the source would give now"),
        (["embed", "--untrained"], "features: the embeddings were not made from the sound it has now; avis-data embed"),
        (truth, "truth: it was made for other stills"),
    ):
        refused = export()
        assert refused.code == 3 and words in refused.err and f"avis-data {step[0]}" in refused.err
        assert (dataset / "exports" / "ytvis" / "files.sha256").read_bytes() == before
        assert run(*step).code == 0
    assert export().code == 0
    assert (dataset / "exports" / "ytvis" / "files.sha256").read_bytes() != before
