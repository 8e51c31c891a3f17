"""Results appear complete or not at all, whatever stops the writer and whatever was there before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hipspine.errors import DataError, HipspineError
from hipspine.output_folder import output_file, output_folder


def tree(folder: Path) -> dict[str, str]:
    """Every file under a folder with its text, hidden ones too."""
    return {str(one.relative_to(folder)): one.read_text() for one in sorted(folder.rglob("*")) if one.is_file()}


def test_a_new_folder_appears_with_its_parents_only_when_all_is_written(tmp_path):
    out = tmp_path / "a" / "b"
    with output_folder(out) as folder:
        (folder / "loads.json").write_text("{}")
        (folder / "tables").mkdir()
        (folder / "tables" / "reactions.sto").write_text("r")
        assert not (tmp_path / "a").exists()
    assert tree(tmp_path) == {"a/b/loads.json": "{}", "a/b/tables/reactions.sto": "r"}


def test_an_existing_folder_keeps_its_other_files(tmp_path):
    (tmp_path / "loads.json").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    with output_folder(tmp_path) as folder:
        (folder / "loads.json").write_text("new")
        (folder / "tables").mkdir()
        (folder / "tables" / "reactions.sto").write_text("r")
        assert (tmp_path / "loads.json").read_text() == "old"
    assert tree(tmp_path) == {"loads.json": "new", "mine.txt": "mine", "tables/reactions.sto": "r"}


@pytest.mark.parametrize("stop", [DataError("too short"), KeyboardInterrupt(), RuntimeError("ours")])
@pytest.mark.parametrize("existing", [True, False])
def test_whatever_stops_the_writer_leaves_what_was_before(tmp_path, stop, existing):
    out = tmp_path / "out"
    if existing:
        out.mkdir()
        (out / "loads.json").write_text("old")
    before = tree(tmp_path)
    with pytest.raises(type(stop)), output_folder(out) as folder:
        (folder / "loads.json").write_text("half")
        raise stop
    assert tree(tmp_path) == before
    assert out.exists() is existing
    assert not list(tmp_path.rglob(".hipspine-partial-*"))


@pytest.mark.parametrize("fails_at", [1, 2, 3, 4, 5])
def test_a_move_that_fails_half_way_is_undone(tmp_path, monkeypatch, fails_at):
    """Five moves: a kept, a placed, b placed (new name), c kept, c placed. Whichever fails, the folder is as before."""
    for name in ("a", "c"):
        (tmp_path / name).write_text(f"old {name}")
    before = tree(tmp_path)
    replace, calls = os.replace, []

    def failing(source, target):
        calls.append(target)
        if len(calls) == fails_at:
            raise OSError(28, "No space left on device", str(target))
        replace(source, target)

    with pytest.raises(OSError, match="No space left"), output_folder(tmp_path) as folder:
        for name in ("a", "b", "c"):
            (folder / name).write_text(f"new {name}")
        monkeypatch.setattr(os, "replace", failing)
    assert tree(tmp_path) == before


def test_a_rename_that_fails_removes_the_parents_made_for_it(tmp_path, monkeypatch):
    def failing(source, target):
        raise OSError(13, "Permission denied", str(target))

    with pytest.raises(OSError, match="Permission"), output_folder(tmp_path / "a" / "b") as folder:
        (folder / "x").write_text("x")
        monkeypatch.setattr(os, "rename", failing)
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be_is_named(tmp_path):
    (tmp_path / "out").write_text("a file")
    for path in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(HipspineError, match=r"out is a file.*--out"), output_folder(path):
            pytest.fail("the block must not run")


def test_a_folder_where_a_result_file_must_go_stops_the_move(tmp_path):
    (tmp_path / "loads.json").mkdir()
    (tmp_path / "a.sto").write_text("old")
    with pytest.raises(DataError, match=r"loads\.json is a folder"), output_folder(tmp_path) as folder:
        (folder / "a.sto").write_text("new")
        (folder / "loads.json").write_text("{}")
    assert tree(tmp_path) == {"a.sto": "old"}


def test_one_file_is_replaced_only_when_written(tmp_path):
    model = tmp_path / "model.osim"
    with output_file(model) as path:
        assert path.name == model.name
        path.write_text("first")
    with pytest.raises(RuntimeError), output_file(model) as path:
        path.write_text("half")
        raise RuntimeError
    assert tree(tmp_path) == {"model.osim": "first"}
    with pytest.raises(DataError, match="Nothing was written"), output_file(model):
        pass
    with pytest.raises(DataError, match="is a folder"), output_file(tmp_path):
        pytest.fail("the block must not run")


def test_the_new_folder_has_the_permissions_of_any_new_folder(tmp_path):
    with output_folder(tmp_path / "out"):
        pass
    (tmp_path / "other").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "other").stat().st_mode
