"""The evidence register: every figure has a source and lies in its interval; every claim is used."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
import typer.testing

from hipspine import cli
from hipspine.clinic.dependents import dependents
from hipspine.clinic.safety_gate import table
from hipspine.clinic.sources import read_rules, rules
from hipspine.errors import DataError, UnknownName
from hipspine.evidence.register import STATUSES, read_register, register

RUN = typer.testing.CliRunner()
GOOD = """[A-1]
statement = "a"
effect = { statistic = "LR+", value = 2.0, unit = "ratio", interval = [1.0, 3.0], level = 0.95 }
design = "single study"
source = { citation = "Somebody 2000" }
status = "seen"
certainty = "not rated by its source"
reviewed_by = ""
"""


def test_every_claim_has_a_source_a_design_and_a_status():
    for claim in register():
        assert claim.citation and claim.design and claim.status in STATUSES and claim.certainty, claim.id
        if claim.unit == "ratio":
            assert claim.population and claim.seen_in, claim.id


def test_no_claim_is_signed_by_anybody_but_a_clinician():
    """Empty until one signs; a signature is initials and a date."""
    for claim in register():
        assert claim.reviewed_by == "" or re.fullmatch(r"[A-Z]{2,4} \d{4}-\d\d-\d\d", claim.reviewed_by)


def test_no_claim_is_an_orphan():
    assert not [id for id, where in dependents().items() if not where]


def test_a_checked_claim_says_where_it_was_read_again():
    for claim in register():
        if claim.status == "checked":
            assert claim.where or claim.computed_from, claim.id


def test_ratios_computed_from_sensitivity_and_specificity_are_right():
    """LR+ = sens / (1 - spec), LR- = (1 - sens) / spec, to the two or three digits they are written with."""
    claims, count = register(), 0
    for claim in claims:
        if len(claim.computed_from) != 2:
            continue
        sens, spec = (claims[id] for id in claim.computed_from)
        assert "sens" in sens.statistic and "spec" in spec.statistic, claim.id
        a, b = (one.value / (100 if one.unit == "%" else 1) for one in (sens, spec))
        expected = a / (1 - b) if claim.statistic.startswith("LR+") else (1 - a) / b
        assert claim.value == pytest.approx(expected, rel=0.02, abs=0.006), claim.id
        count += 1
    assert count >= 20


def test_every_counted_ratio_points_the_way_its_result_says():
    """A positive test raises and a negative one lowers; age under 60 is a fact that lowers by being present."""
    for source in rules().sources:
        for group in source.groups:
            for one in group.findings:
                if one.positive and one.fact != "age_under_60" and register()[one.positive].counted:
                    assert register()[one.positive].value >= 1.0, one.fact
                if one.negative and register()[one.negative].counted:
                    assert register()[one.negative].value <= 1.0, one.fact


def test_every_claim_named_in_a_text_exists():
    known = {one.id for one in register()}
    for package, name in (("case", "vocabulary.toml"), ("clinic", "sources.toml"), ("clinic", "safety_gate.toml")):
        text = files(f"hipspine.{package}").joinpath(name).read_text(encoding="utf-8")
        for id in re.findall(r"\b(?:RF|SIJ|HIP|RAD|STE|DF|GLU|LLD|BR|ESC|COMB|CASE)-C?\d+\b", text):
            assert id in known, (name, id)


def test_a_figure_in_a_gate_row_is_a_claim():
    for row in table().rows:
        assert not re.search(r"\d", row.action), row.id  # actions carry no bare number
        for number in re.findall(r"\d+", row.how_fast):
            assert any(number in register()[id].figure() for id in row.claims), (row.id, number)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[1.0, 3.0]", "[2.5, 3.0]", "outside its own interval"),
        ("[1.0, 3.0]", "[3.0, 1.0]", "lower and an upper end"),
        (", level = 0.95", "", "level"),
        ('citation = "Somebody 2000"', 'doi = "10.1/x"', "no source"),
        ('status = "seen"', 'status = "sure"', "sure"),
        ("certainty", "certitude", "no certainty"),
        ("value = 2.0, ", "", "neither a value"),
        ("statistic", "statistics", "nearest: 'statistic'"),
        ('reviewed_by = ""', 'reviewed_by = ""\ncomputed_from = ["A-2"]', "A-2"),
        ("[A-1]", "[A-1", "not valid TOML"),
    ],
)
def test_a_claim_that_cannot_be_right_is_refused(old, new, words):
    read_register({"a.toml": GOOD})
    with pytest.raises(DataError, match=re.escape(words)):
        read_register({"a.toml": GOOD.replace(old, new, 1)})


def test_an_id_is_given_once():
    with pytest.raises(DataError, match="given once"):
        read_register({"a.toml": GOOD, "b.toml": GOOD})


def test_a_rule_that_names_no_claim_or_no_finding_is_refused():
    text = files("hipspine.clinic").joinpath("sources.toml").read_text(encoding="utf-8")
    with pytest.raises(UnknownName, match="SIJ-999"):
        read_rules(text.replace('positive = "SIJ-018"', 'positive = "SIJ-999"'))
    with pytest.raises(DataError, match="no case can carry"):
        read_rules(text.replace('fact = "slr"', 'fact = "slrr"'))
    with pytest.raises(DataError, match="no ratio"):
        read_rules(text.replace('positive = "SIJ-028"', 'positive = "SIJ-026"'))


def test_the_command_shows_a_claim_with_its_dependents_or_lists_all():
    one = RUN.invoke(cli.app, ["evidence", "SIJ-018"])
    assert one.exit_code == 0
    for words in ("2.13 (1.2 to 3.9)", "Saueressig", "not yet reviewed by a clinician", "used by", "Sacroiliac joint"):
        assert words in one.output
    every = RUN.invoke(cli.app, ["evidence"])
    assert len(every.output.splitlines()) == len(register())
    wrong = RUN.invoke(cli.app, ["evidence", "SIJ-0018"])
    assert wrong.exit_code == 2 and "nearest" in wrong.output
