"""The documentation says what is there: commands that exist, links that lead somewhere, docstrings everywhere."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer.main

import hipspine
from hipspine import cli

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "hipspine"
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Everything written by hand; environments and build folders have their own Markdown.
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "changelog.d").glob("*.md")],
    key=lambda path: path.relative_to(ROOT),
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def command_under(heading: str) -> str:
    """The text of the fenced block that follows a heading with at most one empty line between."""
    found = re.search(rf"^## {re.escape(heading)}\n\n?```\w*\n(.*?)^```\n", README, re.MULTILINE | re.DOTALL)
    assert found, f"README.md: no fenced block right under '## {heading}'"
    return found[1]


@pytest.mark.parametrize("heading", ["Run it", "Test it"])
def test_a_heading_a_block_and_in_it_one_command(heading):
    assert README.count(f"\n## {heading}\n") == 1
    command = command_under(heading)
    assert command.count("\n") == 1 and not command.rstrip("\n").endswith("\\")
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    assert len(FENCE.findall(section)) == 1
    # Debian's pip refuses the system's Python, so each command makes an environment first and uses only that one.
    steps = [shlex.split(step) for step in command.split("&&")]
    assert steps[0][:3] == ["python3", "-m", "venv"]
    folder = steps[0][3]
    assert all(step[0].startswith(f"{folder}/bin/") for step in steps[1:])
    ignored = (ROOT / ".gitignore").read_text()
    assert folder.startswith(".venv") and ".venv*/" in ignored


def test_ci_reads_the_test_command_from_the_readme():
    """The script's own way of reading the block gives what this file reads."""
    script = (ROOT / ".ci" / "run").read_text()
    function = re.search(r"^readme_command\(\) \{\n.*?^\}\n", script, re.MULTILINE | re.DOTALL)
    assert function
    for heading in ("Run it", "Test it"):
        text = f"{function[0]}\nreadme_command '{heading}'"
        read = subprocess.run(["bash", "-c", text], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert read == command_under(heading)


def hipspine_calls(text: str) -> list[list[str]]:
    """Every `hipspine ...` call in the shell blocks of a page, split into words."""
    calls = []
    for language, block in FENCE.findall(text):
        if language not in {"", "bash", "console", "sh"}:
            continue
        for line in re.split(r"\n|&&", block.replace("\\\n", " ")):
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words and Path(words[0]).name == "hipspine":
                calls.append(words[1:])
    return calls


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_shown_exists_with_its_options(page):
    commands = typer.main.get_command(cli.app).commands
    for words in hipspine_calls(page.read_text(encoding="utf-8")):
        if words[0] in {"--help", "--version"}:
            continue
        assert words[0] in commands, f"{page.name} shows `hipspine {words[0]}`, which is no command"
        known = {option for parameter in commands[words[0]].params for option in parameter.opts} | {"--help"}
        options = {word.split("=")[0] for word in words if word.startswith("--")}
        assert options <= known, f"{page.name}: `hipspine {words[0]}` has no {sorted(options - known)}"


def test_the_readme_shows_every_command():
    shown = {words[0] for words in hipspine_calls(README)}
    assert set(typer.main.get_command(cli.app).commands) <= shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text(encoding="utf-8")))
    for target in LINK.findall(text):
        if "://" in target or target.startswith(("#", "mailto:")):
            continue
        assert (page.parent / target.split("#")[0]).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_decisions_are_numbered_without_gaps():
    numbers = [int(path.name[:4]) for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))


def test_changelog_fragments_are_named_by_kind():
    for path in (ROOT / "changelog.d").iterdir():
        if path.name != "README.md":
            assert re.fullmatch(r"[a-z0-9-]+\.(added|changed|fixed|removed|deprecated)\.md", path.name), path.name


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == hipspine.__version__
    assert f'version: "{hipspine.__version__}"' in (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_public_function_and_class_has_a_docstring(path):
    """Methods are held to it where the class is one of the names that `import hipspine` offers (next test)."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    public = [one for one in body if isinstance(one, ast.FunctionDef | ast.ClassDef) and not one.name.startswith("_")]
    bare = [one.name for one in public if not ast.get_docstring(one)]
    assert not bare, f"{path.relative_to(SOURCE)}: no docstring on {', '.join(bare)}"


def test_every_offered_name_is_described_with_its_methods():
    bare = []
    for name in getattr(hipspine, "__all__", ()):
        thing = getattr(hipspine, name)
        if not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        generated = inspect.isclass(thing) and (thing.__doc__ or "").startswith(f"{name}(")  # a dataclass without one
        if generated or not inspect.getdoc(thing):
            bare.append(name)
        if inspect.isclass(thing):
            methods = {one: getattr(thing, one) for one in vars(thing) if not one.startswith("_")}
            bare += [
                f"{name}.{one}"
                for one, method in methods.items()
                if (inspect.isroutine(method) or isinstance(method, property)) and not inspect.getdoc(method)
            ]
    assert not bare, f"no docstring on {', '.join(bare)}"


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(SOURCE.rglob("*.py")) if path.name != "__init__.py"],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_every_file_says_which_question_it_answers(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert re.match(r"This file answers: .*\?", docstring.split("\n\n")[0].replace("\n", " "))
