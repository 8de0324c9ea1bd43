"""The pages of all kinds of rounds open in a real browser, and show nothing but clips."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from avis_data.annotation.labels.records import RoundKind
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.configuration import label_config
from support.labelling_page import signed_in
from support.studio import ANN, PASSWORD, Studio

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("kind", list(RoundKind))
def test_every_configuration_opens(browser: Browser, studio: Studio, kind: RoundKind) -> None:
    """The server takes configurations that the page cannot show, so each is opened once."""
    client = LabelStudio(studio.server.url, studio.server.token)
    key = f"opened-{kind.value}"
    project = client.ensure_project(key, label_config=label_config(kind), instructions="<b>x</b>", key=key)
    client.ensure_media(project, str(studio.workspace.root.resolve() / "clips"))
    place = studio.workspace.root.resolve().relative_to(Path(studio.server.root).resolve())
    media = f"/data/local-files/?d={place.as_posix()}/clips/{studio.synthetic}"
    data = {
        "headline": "A clip", "hint": "a hint", "clip_id": studio.synthetic, "video": f"{media}/preview.mp4",
        "frames": [f"{media}/frames/{second:05d}.jpg" for second in range(4)],
        "labels": [{"value": "dog_1", "background": "#1E88E5"}],
    }  # fmt: skip
    client.import_tasks(project, [{"data": data}])
    (task,) = client.tasks(project)
    with signed_in(browser, studio.server.url, email=studio.server.email, password=studio.server.password) as page:
        page.open(project, task.id)
        text = page.text()
        for word in ("A clip", "a hint", "dog_1", "off-screen"):
            assert word in text
        page.draw_span("dog_1", 1, 2)
        assert [region["value"]["ranges"] for region in page.regions()] == [[{"start": 2, "end": 3}]]
        page.shot(studio.pictures / f"{kind.value}-config.png")


def test_only_clips_are_served(browser: Browser, studio: Studio) -> None:
    """Whatever path a page asks for, nothing outside the folder of the clips comes back."""
    client = LabelStudio(studio.server.url, studio.server.token)
    config = label_config(RoundKind.DRAFT)
    project = client.ensure_project("served", label_config=config, instructions="<b>x</b>", key="served")
    client.ensure_media(project, str(studio.workspace.root.resolve() / "clips"))
    place = studio.workspace.root.resolve().relative_to(Path(studio.server.root).resolve()).as_posix()
    secret = studio.workspace.root / "label-studio" / "secrets.json"
    assert secret.exists()
    link_out = studio.workspace.clip_dir(studio.synthetic) / "frames" / "out.jpg"
    link_out.symlink_to(secret)
    asked = [
        f"{place}/label-studio/secrets.json",
        f"{place}/clips/../label-studio/secrets.json",
        f"{place}/clips/%2e%2e/label-studio/secrets.json",
        f"{place}/clips/..%2flabel-studio%2fsecrets.json",
        str(secret.resolve()),
        "../../../../../../etc/passwd",
    ]
    with signed_in(browser, studio.server.url, email=ANN, password=PASSWORD) as page:
        good = page.get(f"/data/local-files/?d={place}/clips/{studio.synthetic}/frames/00000.jpg")
        assert good[0] == 200
        for path in asked:
            status, body = page.get(f"/data/local-files/?d={path}")
            assert status >= 400 and b"token" not in body and b"root:" not in body, path
    link_out.unlink()
