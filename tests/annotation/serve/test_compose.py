"""docker-compose.yml says nothing that the code, Label Studio or .env.example do not know."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from avis_data.annotation.labelstudio.settings import new_secrets
from avis_data.annotation.serve.label_studio_install import LABEL_STUDIO_VERSION, default_environment
from avis_data.annotation.serve.servers import BACKEND_PORT, PORT, label_studio_variables
from avis_data.paths import Workspace
from support.label_studio import is_available
from support.places import ROOT

_OF_THE_IMAGE = {"APP_HOST"}
"""Read by the entry point of Label Studio's image, which is not in its Python package."""
_OF_THE_DATABASE = {"DJANGO_DB", *(f"POSTGRE_{name}" for name in ("HOST", "PORT", "NAME", "USER", "PASSWORD"))}

_OF_THE_PROXY = {"CSRF_TRUSTED_ORIGINS"}
"""Ours has none before it."""


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


def test_the_same_variables_as_annotate_serve(compose: dict[str, Any]) -> None:
    ours = label_studio_variables(Workspace(Path("w")), new_secrets(username="a@b"), url="u")
    theirs = compose["services"]["app"]["environment"]
    of_this_machine = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "PYTHONUNBUFFERED"}
    assert set(ours) - of_this_machine == set(theirs) - _OF_THE_DATABASE - _OF_THE_PROXY
    same = [name for name in theirs if name in ours and "${" not in theirs[name] and not theirs[name].startswith("/")]
    assert len(same) > 8 and all(theirs[name] == ours[name] for name in same)


def test_label_studio_reads_every_variable(compose: dict[str, Any]) -> None:
    if not is_available():
        pytest.skip("needs Label Studio's own environment: avis-data annotate install")
    (package,) = default_environment().glob("lib/python3*/site-packages/label_studio")
    text = "\n".join(path.read_text(errors="replace") for path in package.rglob("*.py"))
    names = set(compose["services"]["app"]["environment"]) | set(compose["services"]["nginx"]["environment"])
    for name in names - _OF_THE_IMAGE:
        short = name.removeprefix("LABEL_STUDIO_")
        assert re.search(rf"['\"]({name}|{short})['\"]", text), f"{name} is read nowhere"


def test_nothing_has_a_default_secret(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    asked = set(re.findall(r"\$\{(\w+)", text)) | {secret["environment"] for secret in compose["secrets"].values()}
    assert not re.search(r"\$\{\w+:?-", text), "a default"
    assert all(re.search(rf"\$\{{{name}:\?", text) for name in asked - {"BACKEND_TOKEN"})
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    assert {line.removesuffix("=") for line in lines} == asked
    assert ".env" in (ROOT / ".gitignore").read_text().split()


def test_names_and_ports_fit_together(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        assert service["healthcheck"]["test"] and service["restart"] == "unless-stopped"
        named = {volume.split(":")[0] for volume in service.get("volumes", []) if not volume.startswith("$")}
        assert named <= set(compose["volumes"])
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
    app, nginx, db = services["app"], services["nginx"], services["db"]
    assert app["environment"]["POSTGRE_HOST"] in services and nginx["environment"]["APP_HOST"] in services
    for theirs, ours in (("DB", "NAME"), ("USER", "USER"), ("PASSWORD", "PASSWORD")):
        assert db["environment"][f"POSTGRES_{theirs}"] == app["environment"][f"POSTGRE_{ours}"]
    assert app["image"] == nginx["image"] == f"heartexlabs/label-studio:{LABEL_STUDIO_VERSION}"
    assert nginx["ports"] == [f"127.0.0.1:{PORT}:8085"]  # to this machine only; a reverse proxy stands before it
    assert not any("ports" in services[name] for name in ("db", "app", "backend"))
    root = app["environment"]["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"]
    assert any(volume.endswith(f":{root}/clips:ro") for volume in app["volumes"])


def test_the_segmenter_takes_its_options(compose: dict[str, Any]) -> None:
    backend = compose["services"]["backend"]
    command = backend["command"]
    given = dict(zip(command[::2], command[1::2], strict=True))
    assert given["--port"] == str(BACKEND_PORT)
    assert given["--token-file"] == "/run/secrets/" + backend["secrets"][0]
    assert any(volume.endswith(f":{given['--workspace']}") for volume in backend["volumes"])
    taken = (ROOT / "annotation" / "serve" / "segmenter.py").read_text()
    assert all(f'"{option}"' in taken for option in given)
    assert str(BACKEND_PORT) in backend["healthcheck"]["test"][-1]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"EXPOSE {BACKEND_PORT}" in dockerfile and "avis_data.annotation.serve.segmenter" in dockerfile
    copied = re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE)
    assert all((ROOT / name).exists() for line in copied for name in line.split())


def test_the_gpu_file_adds_to_a_service_that_exists(compose: dict[str, Any]) -> None:
    added = yaml.safe_load((ROOT / "docker-compose.gpu.yml").read_text())["services"]
    assert set(added) <= set(compose["services"])
    base = compose["services"]["backend"]["command"]
    assert added["backend"]["command"] == [*base, "--gpu"]
    (device,) = added["backend"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_the_segmenter_is_no_root_and_changes_no_clip(compose: dict[str, Any]) -> None:
    backend = compose["services"]["backend"]
    assert backend["user"] == "${OWNER:?set it in .env}"
    mounts = {
        volume.split(":", 1)[1] if volume[0] != "$" else volume.partition("}")[2] for volume in backend["volumes"]
    }
    assert "/clips:/workspace/clips:ro" in mounts and "/workspace/label-studio/embeddings" in mounts
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", dockerfile, re.MULTILINE)
    assert "pip install --no-cache-dir -c constraints.txt" in dockerfile
    assert dockerfile.index("pip install") < dockerfile.index("USER"), "the program is not its user's to change"
