"""Imports go one way, and `import hipspine` costs next to nothing."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "hipspine"

# Each module may import its own package and whatever stands in a line above its own. `__init__` is the front door.
ORDER = [
    {"errors"},
    {"units", "jit", "spatial", "provenance", "output_folder", "dataframes"},
    {"model", "motion", "evidence", "case"},
    {"formats", "imaging", "mechanics"},
    {"attribution"},
    {"clinic"},
    {"example"},
    {"pipeline"},
    {"warm_kernels"},
    {"tools"},
    {"report", "store"},
    {"case_commands"},
    {"cli", "web"},
    {"__init__", "__main__"},
]
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}
# Constants of `__init__` itself, which any module may read.
FRONT_DOOR = {"__version__"}
HEAVY = {"numpy", "numba", "llvmlite", "scipy", "ezc3d", "jinja2", "pandas", "pyarrow", "opensim"}


def part_of(path: Path) -> str:
    """First name below `hipspine` that a source file belongs to."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imported_parts(tree: ast.AST, package: tuple[str, ...]) -> set[str]:
    """Parts of hipspine that a source text imports anywhere, inside functions too. `package`: where the text lives."""
    names: set[tuple[str, ...]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {tuple(one.name.split(".")) for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                base = (*package[: len(package) - node.level + 1], *base)
            names |= {(*base, one.name) for one in node.names}
    ours = {name[1] for name in names if name[0] == "hipspine" and len(name) > 1}
    return ours - FRONT_DOOR


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_one_way(path):
    part = part_of(path)
    assert part in RANK, f"{part} has no place in ORDER: give it one, and say so in docs/conventions.md"
    package = ("hipspine", *path.relative_to(SOURCE).parent.parts)
    for other in imported_parts(ast.parse(path.read_text(encoding="utf-8")), package):
        assert other in RANK, f"{path.name} imports hipspine.{other}, which is no module of ours"
        assert other == part or RANK[other] < RANK[part], (
            f"{path.relative_to(SOURCE)} imports hipspine.{other}, which does not stand left of {part}"
        )


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("import hipspine.mechanics.kinematics as kinematics", {"mechanics"}),
        ("from hipspine import report, __version__", {"report"}),
        ("from hipspine.formats.c3d import read", {"formats"}),
        ("def f():\n    from ..clinic import rules", {"clinic"}),
        ("from . import sibling", {"model"}),
        ("import numpy.linalg", set()),
    ],
)
def test_the_guard_sees_every_form_of_import(text, parts):
    assert imported_parts(ast.parse(text), ("hipspine", "model")) == parts


def loaded_by(statement: str) -> set[str]:
    """First names of the modules that a fresh interpreter loads for a statement, beyond those it starts with."""
    program = (
        f"import sys; before = set(sys.modules); {statement}; new = sorted(set(sys.modules) - before)\n"
        "import json; print(json.dumps(new))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return {name.split(".")[0] for name in json.loads(result.stdout.splitlines()[-1])}


def test_import_hipspine_loads_itself_and_the_standard_library_only():
    assert loaded_by("import hipspine") - set(sys.stdlib_module_names) == {"hipspine"}


def test_the_command_line_loads_nothing_heavy_before_a_command_runs():
    assert not loaded_by("import hipspine.cli") & HEAVY
    start = "import typer.testing, hipspine.cli as cli; typer.testing.CliRunner().invoke(cli.app, ['loads', '--help'])"
    assert not loaded_by(start) & HEAVY


def test_each_public_name_is_there():
    import hipspine

    for name in getattr(hipspine, "__all__", ()):
        assert getattr(hipspine, name) is not None
