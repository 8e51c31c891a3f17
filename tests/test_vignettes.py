"""Published cases run end to end through the command and lead where they should."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import typer.testing

from hipspine import cli

FOLDER = Path(__file__).resolve().parents[1] / "validation" / "vignettes"
VIGNETTES = sorted(one.parent for one in FOLDER.glob("*/case.toml"))
KNOWN = {
    "state", "level", "flags", "plan_allowed", "first", "first_side", "first_of", "first_state", "above", "none_raised",
    "measure", "imaging", "in_100", "low", "high",
}  # fmt: skip
RUN = typer.testing.CliRunner()


def test_there_are_vignettes_for_every_row_of_the_table():
    assert len(VIGNETTES) >= 11


@pytest.mark.parametrize("folder", VIGNETTES, ids=lambda folder: folder.name)
def test_a_vignette_leads_where_its_row_says(folder):
    expected = tomllib.loads((folder / "expected.toml").read_text(encoding="utf-8"))
    assert set(expected) <= KNOWN
    result = RUN.invoke(cli.app, ["findings", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["state"] == expected["state"]
    assert answer["plan_allowed"] == expected["plan_allowed"]
    assert "level" not in expected or answer["level"] == expected["level"]
    flags = {one["id"] for one in answer["gate"]["flags"]}
    assert set(expected.get("flags", [])) <= flags
    sources = answer["sources"]
    if answer["state"] != "go on":
        assert not sources and not answer["next_tests"]
        return
    first = sources[0]
    if "first" in expected:
        assert first["id"] == expected["first"]
    if "first_of" in expected:
        assert {one["id"] for one in sources[: len(expected["first_of"])]} == set(expected["first_of"])
    assert "first_side" not in expected or first["side"] == expected["first_side"]
    assert "first_state" not in expected or first["state"] == expected["first_state"]
    for other in expected.get("above", []):
        best = max(one["ratios"]["product"]["point"] if one["ratios"]["product"] else 1.0
                   for one in sources if one["id"] == other)  # fmt: skip
        assert first["ratios"]["product"]["point"] > best
    if expected.get("none_raised"):
        assert not [one["name"] for one in sources if one["findings"].endswith("for it")]
    if "measure" in expected:
        assert expected["measure"] in answer["measures"][0]["text"]
    if "imaging" in expected:
        assert expected["imaging"] in answer["imaging"]["text"]
    if "in_100" in expected:
        spans = first["frequency"]
        assert (spans["in_100"], spans["low"], spans["high"]) == (expected["in_100"], expected["low"], expected["high"])
