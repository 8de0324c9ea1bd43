"""Figures of the source tree itself: how long files and functions are, how full folders are, what is typed.

    python -m benchmarks.tree [--root CHECKOUT] [--types]

`--root` measures another checkout, so two states can be compared by one program. `--types` runs mypy as `make lint`
does (about half a minute).
"""

from __future__ import annotations

import argparse
import ast
import re
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOMS = ("avis_data", "pipelines", "annotation", "training")
SMALL = 60


def sources(root: Path) -> list[Path]:
    """The product's Python files; the links in `avis_data/` are not followed."""
    return sorted(path for room in ROOMS for path in (root / room).rglob("*.py"))


def function_lengths(tree: ast.Module) -> Iterator[int]:
    """Lines of every function, its docstring left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if is_text else 0
            yield (node.end_lineno or node.lineno) - node.lineno + 1 - docstring


def modules_by_folder(paths: list[Path], root: Path) -> Counter[str]:
    """How many modules each folder holds, `__init__` and `__main__` aside."""
    return Counter(str(path.parent.relative_to(root)) for path in paths if not path.name.startswith("__"))


def percentile(values: list[int], percent: int) -> int:
    """The value that so many percent are at or below."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def untyped_files(root: Path) -> str:
    """What mypy says of everything, in its own last line."""
    ran = subprocess.run([sys.executable, "-m", "mypy"], cwd=root, capture_output=True, text=True, check=False)
    return ran.stdout.strip().rpartition("\n")[2]


def main() -> None:
    """Print one figure a line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--types", action="store_true")
    options = parser.parse_args()
    paths = sources(options.root)
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    lines = [text.count("\n") for text in texts.values()]
    functions = [length for text in texts.values() for length in function_lengths(ast.parse(text))]
    modules = modules_by_folder(paths, options.root)
    code = [count for path, count in zip(paths, lines, strict=True) if path.name != "__init__.py"]
    print(f"files                     {len(paths)}, {sum(lines)} lines")
    print(f"lines per file            {sum(lines) / len(paths):.0f}; without __init__: {sum(code) / len(code):.0f}")
    print(f"longest files             {sorted(lines)[-3:]}")
    print(f"function median / p90     {statistics.median(functions):.0f} / {percentile(functions, 90)}")
    print(f"functions over 60 lines   {sum(length > 60 for length in functions)}")
    print(f"files under {SMALL} lines      {sum(count < SMALL for count in code)} of {len(code)}, __init__ aside")
    print(f"fullest folders           {', '.join(f'{name} {count}' for name, count in modules.most_common(6))}")
    anys = sum(len(re.findall(r"\bAny\b", text)) for text in texts.values())
    ignores = sum(text.count("# type: ignore") for text in texts.values())
    print(f"the word Any              {anys}; # type: ignore {ignores}")
    if options.types:
        print(f"mypy --strict             {untyped_files(options.root)}")


if __name__ == "__main__":
    main()
