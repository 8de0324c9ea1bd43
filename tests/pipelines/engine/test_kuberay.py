"""docs/kuberay.yaml: fields that KubeRay and Kubernetes have, a command of ours, and numbers that fit together.

`kuberay_fields.json` was written by hand after their references, for what the file uses: KubeRay's own schema comes in
no package.
"""

from __future__ import annotations

import copy
import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from avis_data.cli.commands import cli
from support.places import ROOT

FIELDS = json.loads(Path(__file__).with_name("kuberay_fields.json").read_text())
CLAIM, JOB = yaml.safe_load_all((ROOT / "docs" / "kuberay.yaml").read_text())
SPEC = JOB["spec"]
CLUSTER = SPEC["rayClusterSpec"]
(WORKERS,) = CLUSTER["workerGroupSpecs"]
PODS = [CLUSTER["headGroupSpec"]["template"]["spec"], WORKERS["template"]["spec"]]


def faults(document: object) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(FIELDS).iter_errors(document)]


def test_every_field_is_one_that_there_is() -> None:
    jsonschema.Draft202012Validator.check_schema(FIELDS)
    assert faults(CLAIM) == faults(JOB) == []


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        ((), "entryPoint", "avis-data run"),
        (("rayClusterSpec",), "enableInTreeAutoscaling", "yes"),
        (("rayClusterSpec", "authOptions"), "mode", "secret"),
        (("rayClusterSpec", "headGroupSpec", "rayStartParams"), "num-cpus", 0),
        (("rayClusterSpec", "workerGroupSpecs", 0), "maxReplicas", "16"),
    ],
)
def test_a_slip_is_seen(place: tuple[str | int, ...], name: str, value: object) -> None:
    job = copy.deepcopy(JOB)
    at: Any = job["spec"]
    for step in place:
        at = at[step]
    at[name] = value
    assert faults(job)


def test_the_command_is_one_of_ours_and_works_in_the_mounted_folder() -> None:
    program, *words = shlex.split(SPEC["entrypoint"])
    context = cli.make_context(program, words)
    assert program == "avis-data" and str(context.params["directory"]).startswith("/workspace/")
    name, command, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
    assert command is not None and name == "run"
    options = command.make_context(name, list(rest), parent=context).params
    assert options["executor"] == "ray" and options["ray_address"] is None  # Ray tells a job its cluster
    cpus = int(WORKERS["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"])
    assert options["workers"] == WORKERS["maxReplicas"] * cpus, "as many workers as the largest cluster has processors"
    assert 1 <= WORKERS["minReplicas"] <= WORKERS["replicas"] <= WORKERS["maxReplicas"]


def test_every_node_has_the_workspace_and_the_same_program() -> None:
    assert CLAIM["spec"]["accessModes"] == ["ReadWriteMany"]
    images = set()
    for pod in PODS:
        (container,) = pod["containers"]
        (volume,) = pod["volumes"]
        assert volume["persistentVolumeClaim"]["claimName"] == CLAIM["metadata"]["name"]
        assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": "/workspace"}]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert pod["securityContext"]["runAsUser"] != 0
        images.add(container["image"])
    assert len(images) == 1
    pinned = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None and CLUSTER["rayVersion"] == pinned[1]


def test_the_cluster_asks_for_a_token_that_the_page_makes_and_ends_with_the_work() -> None:
    auth = CLUSTER["authOptions"]
    page = (ROOT / "docs" / "cluster.md").read_text()
    assert auth["mode"] == "token"
    assert f"kubectl create secret generic {auth['secretName']} --from-literal=auth_token=" in page
    assert SPEC["shutdownAfterJobFinishes"] is True
