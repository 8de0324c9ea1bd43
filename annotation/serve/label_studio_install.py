"""Label Studio's own environment: made once, apart from ours, because the two want different versions of many packages.

It counts as made only when its marker is there, which is written last; what a kill leaves is cleared and made anew.
(It is not made under another name and renamed: the programs in an environment carry its path.)
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path

from filelock import FileLock, Timeout

from avis_data.errors import BusyError, DataError, ToolError
from avis_data.io import read_json, remove, sha256_text, write_bytes, write_json
from avis_data.platforms import die_with_parent

__all__ = [
    "LABEL_STUDIO_VERSION",
    "default_environment",
    "install",
    "is_installed",
    "num_packages",
    "program",
    "quiet_environment",
    "set_up_page",
    "template_database",
]

LABEL_STUDIO_VERSION = "1.23.2"
_MARKER = "avis-data.json"
_HINT = "avis-data annotate install"

_DRAFTS_AFTER_MS = 300
"""How long after a change a page saves its draft. Five seconds, as it comes, is too late for the segmenter: it would
answer a click from the mask as it was before the hand's last strokes."""
_SUGGESTED = "n.loadSuggestions(d,e=>e.data?e.data.result:null)"
_ASKED = 'e=>c.callApi("mlInteractive",{params:{pk:a.id},body:{task:r.id,context:{result:[],filling:e}}})'
_SAME = "()=>!!o.lsf&&!!o.lsf.task&&o.lsf.task.id===r.id&&n.annotationStore.selected===i"
_PAGE = {
    "autosaveDelay:5e3": f"autosaveDelay:{_DRAFTS_AFTER_MS}",
    '"true"===localStorage.getItem("autoAnnotation")': '"false"!==localStorage.getItem("autoAnnotation")',
    '"true"===localStorage.getItem("autoAcceptSuggestions")': '"false"!==localStorage.getItem("autoAcceptSuggestions")',
    'onChangeEvent:"toggleContinuousLabeling",defaultValue:!1': (
        'onChangeEvent:"toggleContinuousLabeling",defaultValue:!0'
    ),
    "{smart:!1,default:!1}": "{smart:!1,default:!0}",
    "for(const e of s)o.setValue(e);e.suggestions.delete(t)": (
        "if(!o.labeling)for(const e of s)o.setValue(e);e.suggestions.delete(t)"
    ),
    "s=t.map(e=>e.cleanId),l=i.serializeAnnotation()": (
        "s=t.map(e=>e.cleanId);if(!s.some(e=>i.regions.some(t=>t.cleanId===e)))return;const l=i.serializeAnnotation()"
    ),
    _SUGGESTED: f"{_SUGGESTED},window.avisFill(u,{_ASKED},n,{_SAME})",
}
"""What the page is at first, in its own words and in ours: no setting of the server says it. Auto-annotation and the
taking of its answers are on, a label stays chosen after a click, and a smart tool is chosen when a task opens. Who
changes one of them in the page finds it so again. A mask that comes with its label keeps it, whatever label is chosen.
What a task is filled with when it opens is no click: for each such mask the page would write out all of them and ask
the segmenter about none. The page asks for the other stills of a box (`page_fill.js`) and says what cannot be saved or
answered (`page_tell.js`); both stand at the script's end."""
_SCRIPTS = ("page_fill.js", "page_tell.js")
_ADDED = "\n/* added by avis-data */\n"


def default_environment() -> Path:
    """The folder beside our own packages: `<sys.prefix>/label-studio`."""
    return Path(sys.prefix) / "label-studio"


def is_installed(folder: Path) -> bool:
    """Whether the environment is whole and holds the packages that this version wants."""
    try:
        marker = read_json(folder / _MARKER)
    except DataError:
        return False
    return isinstance(marker, dict) and marker.items() >= _marker().items()


def program(folder: Path) -> Path:
    """The program `label-studio`. Raises ToolError if the environment is not made."""
    if not is_installed(folder):
        raise ToolError(f"{folder}: Label Studio {LABEL_STUDIO_VERSION} is not installed here", hint=_HINT)
    return folder / "bin" / "label-studio"


def template_database(folder: Path) -> Path:
    """An empty database in the server's newest layout: copying it saves the minutes of its 400 migrations."""
    return folder / "template.sqlite3"


def num_packages() -> int:
    """How many packages are installed."""
    return sum(bool(line.strip()) for line in _packages().splitlines())


def install(folder: Path, *, on_line: Callable[[str], None] = lambda _: None) -> bool:
    """Make the environment, unless it is there.

    Args:
        folder: of the environment; what is there without a marker is removed, if it looks like an environment.
        on_line: is given pip's output, line by line.

    Returns:
        False if there was nothing to do.

    Raises:
        BusyError: if another process is at it.
        ToolError: if this is Windows, Python has no venv, pip fails or the server does not start.
        DataError: if the folder holds something else.
    """
    if is_installed(folder):
        return False
    if os.name != "posix":
        hint = "install it on another machine, then: avis-data annotate serve --label-studio-url URL"
        raise ToolError("Label Studio is installed and started by avis-data on Linux and macOS only", hint=hint)
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BusyError(f"{folder}: another process is installing here", hint="wait until it has ended") from None
    with lock:
        _clear(folder)
        _run([sys.executable, "-m", "venv", str(folder)], on_line, "making an environment failed")
        packages = folder / "packages.txt"
        write_bytes(packages, _packages().encode())
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
        # The list is complete, so nothing needs to be resolved, and nothing else can come in.
        _run([*pip, "install", "--no-deps", "-r", str(packages)], on_line, "pip could not install Label Studio")
        _run([*pip, "check"], on_line, "the packages of Label Studio do not fit together")
        set_up_page(folder)
        _make_template(folder, on_line)
        write_json(folder / _MARKER, _marker())
    return True


def quiet_environment(data_dir: Path, *, home: Path | None = None) -> dict[str, str]:
    """The variables without which the server talks to the world outside; our own settings do not reach it.

    Source: specs of Label Studio, §2: with empty addresses for error reports not one name is looked up.
    """
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ") if name in os.environ}
    return kept | {
        "HOME": str(home or data_dir),  # where libraries of the server keep their caches
        "LABEL_STUDIO_BASE_DATA_DIR": str(data_dir),
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "DEBUG": "false",
        "PYTHONUNBUFFERED": "1",
    }


def _marker() -> dict[str, object]:
    """What the environment holds."""
    return {"label_studio": LABEL_STUDIO_VERSION, "packages_sha256": sha256_text(_packages())}


def set_up_page(folder: Path) -> None:
    """Make the page what annotators need (`_PAGE`), unless it is already.

    It is asked for at every start, so that a page that an earlier version of avis-data set up follows.

    Raises:
        ToolError: if its words are not found, or it cannot be written.
    """
    added = "".join((files("avis_data.annotation.serve") / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    missing = set(_PAGE)
    try:
        for script in sorted(folder.glob("lib/python*/site-packages/web/dist/apps/labelstudio/*.js")):
            before = script.read_text(encoding="utf-8")
            text = before.partition(_ADDED)[0]
            for theirs in sorted(missing):
                if text.count(_PAGE[theirs]) == 1 or text.count(theirs) == 1:
                    text = text if _PAGE[theirs] in text else text.replace(theirs, _PAGE[theirs])
                    missing.remove(theirs)
            if _PAGE[_SUGGESTED] in text:
                text += _ADDED + added
            if text != before:
                write_bytes(script, text.encode())
    except OSError as error:
        raise ToolError(f"{folder}: its pages cannot be set up ({error})", hint=_HINT) from None
    if missing:
        message = f"{folder}: the pages of Label Studio {LABEL_STUDIO_VERSION} are not as expected"
        raise ToolError(message, hint="tell us: this version of avis-data does not fit it")


def _packages() -> str:
    return (files("avis_data.annotation.serve") / "label_studio_packages.txt").read_text(encoding="utf-8")


def _clear(folder: Path) -> None:
    if not folder.exists() and not folder.is_symlink():
        return
    if any(folder.iterdir()) and not (folder / "pyvenv.cfg").is_file():
        raise DataError(f"{folder}: holds something that is no environment", hint=f"{_HINT} --env ANOTHER")
    remove(folder)


def _make_template(folder: Path, on_line: Callable[[str], None]) -> None:
    on_line("preparing an empty database")
    with tempfile.TemporaryDirectory(prefix="avis-data-") as data_dir:
        command = [str(folder / "bin" / "label-studio"), "version"]
        environment = quiet_environment(Path(data_dir))
        _run(command, lambda _: None, "Label Studio does not start", environment=environment)
        write_bytes(template_database(folder), (Path(data_dir) / "label_studio.sqlite3").read_bytes())


def _run(
    command: list[str],
    on_line: Callable[[str], None],
    complaint: str,
    *,
    environment: Mapping[str, str] | None = None,
) -> None:
    last: deque[str] = deque(maxlen=15)
    with subprocess.Popen(
        command,
        text=True,
        errors="replace",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=die_with_parent(),
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last.append(line.rstrip())
                on_line(line.rstrip())
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        said = "\n".join(f"    {line}" for line in last)
        raise ToolError(f"{complaint} (exit {process.returncode}):\n{said}", hint=f"look at the message, then {_HINT}")
