"""Every command with arguments that it takes, by where it writes: a new command needs its row here."""

from __future__ import annotations

CLIP = "dog_a"

WRITE_IN_A_WORKSPACE: dict[str, list[str]] = {
    "init": [],
    "fetch": ["--list", "../list.csv", "--allow-local"],
    "extract": [],
    "preview": [],
    "embed": ["--untrained"],
    "fingerprint": [],
    "run": ["--untrained", "--list", "../list.csv", "--allow-local"],
    "import": ["--format", "ytvis", "../truth.json"],
    "export": [],
    "annotate push": ["--round", "draft"],
    "annotate pull": [],
    "annotate serve": [],
    "annotate status": [],
    "propagate": [],
    "review start": ["--reviewers", "a@example.com"],
    "review close": ["draft"],
    "review confirm": [CLIP],
    "review assign": [CLIP, "--give-to", "a@example.com"],
    "review reopen": [CLIP, "--note", "look again"],
    "review settle": [CLIP, "accept", "--note", "it is right"],
    "review comment": [CLIP, "--note", "mind the dog"],
    **{f"labels {kind}": [CLIP, "dog_1", "dog_2"] for kind in ("swap", "merge")},
    "labels split": [CLIP, "dog_1", "dog_2", "--from", "1"],
    "labels delete": [CLIP, "dog_1"],
    "labels copy": [CLIP, "dog_1", "--from", "1", "--onto", "2"],
    "labels undo": [CLIP],
    "remove": ["dog", "--reason", "takedown", "--exports"],
    "prune": ["--yes"],
}
"""Commands that change the workspace that they are run in; also those that ask its server with its token."""
WRITE_WHERE_THEY_ARE_TOLD: dict[str, list[str]] = {
    "agreement": ["--html"],
    "problems": ["--html"],
    "duplicates": ["--html"],
    "datasheet": ["--out"],
    "rights": ["--csv"],
    "diff": ["../old", "../new", "--html"],
    "patch": ["../old", "../patch.json", "--out"],
    "rebuild": ["../set", "--out"],
    "merge": ["../ws", "../other", "--out"],
    "convert": ["../set", "--to", "coco", "--out"],
    "report": ["../set", "--out"],
    "train-baseline": ["--data", "../set", "--config", "avism_tiny", "--out"],
    "predict": ["--data", "../set", "--checkpoint", "../run", "--out"],
    "visualize": ["--data", "../set", "--pred", "../results.json", "--out"],
    "evaluate": ["--truth", "../truth.json", "--pred", "../results.json", "--out"],
    "weights convert": ["../weights.pt", "--out"],
    "demo": ["--out"],
    "synth": ["--num-clips", "1", "--out"],
}
"""The place comes after these arguments."""
ONLY_READ: dict[str, list[str]] = {
    "status": [],
    "du": [],
    "review status": [],
    "review history": [CLIP],
    "labels list": [CLIP],
    "validate": ["../set"],
    "stats": ["../set"],
    "compare": ["../a.json", "../b.json", "--truth", "../truth.json"],
    "benchmark-model": ["--help"],
    "doctor": [],
    "weights list": [],
    "weights check": [],
    "weights get": ["u2netp", "--from", "../weights.pt"],
    "weights add": ["../weights.pt"],
    "annotate install": ["--help"],
}
"""Also those that write in the user's own folders only."""
