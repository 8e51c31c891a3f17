"""A case file: what it accepts, what it refuses and in which words, what it calls missing, odd or contradictory."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.testing
from hypothesis import given
from hypothesis import strategies as st

from hipspine import cli
from hipspine.case import check_case, parse_case, read_case
from hipspine.case.page import page
from hipspine.case.schema import EMERGENCY, MEASURED_SECTIONS, QUANTITIES, SAFETY, SECTIONS
from hipspine.case.template import quick_quantities, template
from hipspine.case.vocabulary import vocabulary
from hipspine.errors import DataError, FileFormatError, HipspineError
from tests.cases import ANSWERED

ROOT = Path(__file__).resolve().parents[1]
RUN = typer.testing.CliRunner()


def measured(section: str, what: str, value: float, unit: str, **more: str) -> str:
    keys = "".join(f'{name} = "{text}"\n' for name, text in more.items())
    return f'[[{section}]]\nwhat = "{what}"\nvalue = {value}\nunit = "{unit}"\n{keys}'


def refusal(text: str) -> str:
    with pytest.raises(DataError) as caught:
        parse_case(text)
    return str(caught.value)


def test_the_page_is_written_from_the_schema():
    assert (ROOT / "docs" / "case.md").read_text(encoding="utf-8") == page(), (
        "docs/case.md is old: python -m hipspine.case.page > docs/case.md"
    )


def test_the_example_of_the_page_reads():
    example = re.search(r"```toml\n(.*?)```", page(), re.DOTALL)
    assert example
    case = parse_case(example[1])
    assert case.person["age"] == 58
    assert not [one for one in check_case(case) if one.sort == "contradictory"]


@pytest.mark.parametrize("quick", [False, True])
def test_a_template_reads_and_says_nothing(quick):
    case = parse_case(template(quick))
    assert not case.safety and not case.measured and not case.findings and not case.history


def filled(text: str) -> str:
    """A template with every # before a key or a header taken away."""
    return re.sub(r"(?m)^#(?=\w+ = |\[\[)", "", text)


def test_a_quick_template_filled_in_reads_back_whole():
    text = filled(template(quick=True)).replace('what = "height"\nvalue = 0', 'what = "height"\nvalue = 170')
    text = text.replace('what = "mass"\nvalue = 0', 'what = "mass"\nvalue = 70')
    case = parse_case(text)
    assert set(case.safety) == {one.name for one in SAFETY}
    assert {(one.section, one.what) for one in case.measured} == {(name, one.name) for name, one in quick_quantities()}


def test_a_quick_visit_asks_at_most_twelve_measures_and_the_weight_on_each_foot():
    names = [one.name for _section, one in quick_quantities()]
    assert len(names) <= 12
    assert "weight_on_foot" in names


def test_every_emergency_question_is_a_question_of_the_schema():
    assert set(EMERGENCY) <= {one.name for one in SAFETY}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[persn]\nage = 3\n", ["persn", "nearest: 'person'"]),
        ("[history]\nonst = 'fall'\n", ["[history]", "onst", "nearest: 'onset'"]),
        ("[history]\nonset = 'fal'\n", ["onset", "'fall'", "nearest"]),
        ("[history.safety]\nsaddle_numbness = 'maybe'\n", ["saddle_numbness", "true or false"]),
        ("[person]\nage = 400\n", ["age", "0 to 120 years"]),
        ("[history]\nworse_with = 'sitting'\n", ["worse_with", "list"]),
        ("[history]\nworse_with = ['siting']\n", ["siting", "nearest: 'sitting'"]),
        ("[[visits]]\ndate = 'yesterday'\n", ["visits 1", "2026-01-31"]),
        ("[visits]\ndate = 2026-01-01\n", ["[[visits]]"]),
        ("[[findings]]\nid = 'slr'\nresult = 'yes'\n", ["findings 1", "'positive'"]),
        ("[[findings]]\nid = 'slrr'\nresult = 'positive'\n", ["slrr", "nearest: 'slr'"]),
        ("[[findings]]\nid = 'centralisation'\nside = 'left'\nresult = 'positive'\n", ["no side"]),
        ("[[findings]]\nresult = 'positive'\n", ["findings 1", "'id' is missing"]),
        (measured("measures", "height", 172, "m"), ["height = 172 m", "100 to 230 cm", "As 'cm'"]),
        (measured("measures", "height", 5.8, "cm"), ["As 'ft'"]),
        (measured("measures", "mass", 700, "kg"), ["mass = 700 kg", "25 to 300"]),
        (measured("measures", "leg_length_difference", 120, "mm", side="left"), ["0 to 60 mm"]),
        (measured("measures", "leg_length_difference", 12, "mm"), ["needs a side", "the short leg"]),
        (measured("measures", "leg_length_difference", 12, "mm", side="both"), ["the short leg"]),
        (measured("measures", "hip_flexion", 100, "deg", side="left"), ["belongs to [[strength]] or [[ranges]]"]),
        (measured("ranges", "hip_flexion", 100, "degrees", side="left"), ["'deg'"]),
        (measured("strength", "hip_abduction", 9, "grade", side="left"), ["0 to 5 grade"]),
        (measured("measures", "height", 172, "cm") + measured("measures", "mass", 290, "kg"), ["kg/m²", "lb"]),
        ("[[setting.priors]]\nsource='disc'\nlow=30\nhigh=20\nreason='ours'\n", ["above high"]),
        ("schema_version = 99\n", ["99", "newer hipspine"]),
        ("[[history.overrides]]\nflag='fever'\nname='A'\n", ["'reason' is missing", "'date' is missing"]),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence(text, words):
    message = refusal(text)
    for word in words:
        assert word in message, message


def test_all_problems_are_told_at_once():
    message = refusal("[persn]\n[history]\nonst = 'fall'\n[[findings]]\nid = 'slrr'\nresult = 'positive'\n")
    assert "3 lines cannot be used" in message


def test_a_missing_or_broken_file_says_what_to_do(tmp_path):
    with pytest.raises(FileFormatError, match="hipspine new"):
        read_case(tmp_path)
    (tmp_path / "case.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(FileFormatError, match="UTF-8"):
        read_case(tmp_path)
    (tmp_path / "case.toml").write_text("[person\n")
    with pytest.raises(FileFormatError, match="not valid TOML"):
        read_case(tmp_path)


def test_units_become_the_quantity_s_own_and_the_given_text_stays():
    case = parse_case(measured("measures", "height", 1.72, "m") + measured("measures", "mass", 154, "lb"))
    height, mass = case.measured
    assert height.value == pytest.approx(172.0) and height.unit == "cm" and height.given == "1.72 m"
    assert mass.value == pytest.approx(69.853, abs=1e-3) and mass.unit == "kg"


def test_a_standard_error_is_the_given_one_else_the_method_s_else_unknown():
    row = measured("measures", "leg_length_difference", 1.2, "cm", side="left", method="tape")
    by_method = parse_case(row).measured[0]
    assert by_method.standard_error == 5.0 and "LLD" in by_method.error_source
    given = parse_case(row + "standard_error = 0.2\n").measured[0]
    assert given.standard_error == pytest.approx(2.0) and given.error_source == "given"
    assert parse_case(row.replace("tape", "eye")).measured[0].standard_error is None


def test_a_grade_keeps_its_unit_and_the_manual_error():
    one = parse_case(measured("strength", "hip_abduction", 4, "grade", side="left", method="manual grade")).measured[0]
    assert one.unit == "grade" and one.standard_error == 1.0


def remarks(text: str, sort: str) -> str:
    return "\n".join(one.text for one in check_case(parse_case(text)) if one.sort == sort)


def test_two_methods_that_name_different_legs_are_both_shown_and_the_better_one_used():
    text = measured("measures", "leg_length_difference", 8, "mm", side="left", method="tape")
    text += measured("measures", "leg_length_difference", 6, "mm", side="right", method="standing X-ray")
    said = remarks(text, "contradictory")
    assert "8 mm left by tape" in said and "6 mm right by standing X-ray" in said
    assert "Used: right, by standing X-ray" in said


def test_a_tape_reading_inside_its_error_settles_neither_size_nor_side():
    said = remarks(measured("measures", "leg_length_difference", 8, "mm", side="left", method="tape"), "odd")
    assert "neither size nor side" in said


@pytest.mark.parametrize(
    ("text", "sort", "words"),
    [
        (measured("measures", "height", 160, "cm") + measured("measures", "mass", 154, "kg"), "odd", "In pounds"),
        (
            measured("measures", "mass", 70, "kg")
            + measured("measures", "weight_on_foot", 35, "kg", side="left")
            + measured("measures", "weight_on_foot", 55, "kg", side="right"),
            "odd",
            "90 kg together",
        ),
        (
            measured("spinopelvic", "pelvic_incidence", 50, "deg")
            + measured("spinopelvic", "pelvic_tilt_radiographic", 30, "deg")
            + measured("spinopelvic", "sacral_slope", 40, "deg"),
            "odd",
            "PI 50 deg is not PT",
        ),
        (
            "[[findings]]\nid='slr'\nside='left'\nresult='positive'\n[[findings]]\nid='slr'\nside='left'\nresult='negative'",
            "contradictory",
            "both positive and negative",
        ),
        ("[history]\nworse_with=['sitting']\nnot_worse_with=['sitting']\n", "contradictory", "sitting"),
        ("[history]\npain_left=['groin']\nno_pain_in=['groin']\n", "contradictory", "groin"),
        ("[history]\nworse_with=['sitting']\nno_pain_when_seated=true\n", "contradictory", "seated"),
        ("[person]\nhours_standing=20\nhours_sitting=10\n", "odd", "30 hours"),
        ("[[findings]]\nid='slr'\nresult='positive'\n", "odd", "no side"),
        ("[person]\nage=40\n", "missing", "sex"),
        ("[person]\nage=40\n", "missing", "saddle_numbness was not asked"),
    ],
)
def test_what_is_odd_contradictory_or_missing_is_said(text, sort, words):
    assert words in remarks(text, sort)


def test_two_readings_within_their_errors_are_no_contradiction():
    text = measured("ranges", "hip_flexion", 100, "deg", side="left", method="goniometer")
    text += measured("ranges", "hip_flexion", 104, "deg", side="left", method="goniometer")
    assert not remarks(text, "contradictory")


def test_a_later_repeat_of_a_test_is_no_contradiction():
    row = "[[findings]]\nid='slr'\nside='left'\nresult='{}'\ndate={}\n"
    assert not remarks(row.format("positive", "2026-01-01") + row.format("negative", "2026-02-01"), "contradictory")


@given(
    st.sampled_from([(section, one) for section in MEASURED_SECTIONS for one in QUANTITIES[section]]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["left", "right", "both", "midline", None]),
    st.integers(0, 20),
)
def test_any_reading_is_either_kept_inside_its_limits_or_refused(which, value, side, unit):
    section, quantity = which
    more = {"side": side} if side else {}
    text = measured(section, quantity.name, value, quantity.units[unit % len(quantity.units)], **more)
    try:
        case = parse_case(text)
    except HipspineError as error:
        assert section in str(error)
        return
    one = case.measured[0]
    if one.unit == quantity.units[0]:
        assert quantity.low <= one.value <= quantity.high
    check_case(case)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["positive", "left", "groin"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
), st.sampled_from([one.name for one in SECTIONS]))  # fmt: skip
def test_absurd_content_gets_a_sentence_and_never_a_crash(value, section):
    from hipspine.case.reading import _case, _Problems

    table: dict = {}
    inner = table
    *outer, last = section.split(".")
    for name in outer:
        inner = inner.setdefault(name, {})
    inner[last] = value
    problems = _Problems("case.toml")
    check_case(_case(table, 1, problems))


def test_the_vocabulary_has_a_way_and_a_meaning_for_each_finding():
    for term in vocabulary().values():
        assert term.name and term.how.endswith(".") and term.positive.endswith(".") and term.minutes > 0, term.id


def test_new_writes_a_case_once_and_check_reads_it(tmp_path):
    folder = tmp_path / "anna"
    made = RUN.invoke(cli.app, ["new", str(folder), "--quick"])
    assert made.exit_code == 0 and (folder / "case.toml").is_file()
    again = RUN.invoke(cli.app, ["new", str(folder)])
    assert again.exit_code == 2 and "left as it is" in again.output
    checked = RUN.invoke(cli.app, ["check", str(folder)])
    assert checked.exit_code == 0 and "saddle_numbness was not asked" in checked.output
    (folder / "case.toml").write_text("[persn]\n")
    broken = RUN.invoke(cli.app, ["check", str(folder)])
    assert broken.exit_code == 2 and "persn" in broken.output


def test_visits_carry_answers_and_findings_of_their_own_in_order_of_their_days():
    text = "[[visits]]\ndate=2026-02-01\nnotes='b'\n[visits.safety]\nnight_pain=true\n"
    text += "[[visits]]\ndate=2026-01-01\nnotes='a'\n"
    text += "[[visits.findings]]\nid='slr'\nside='left'\nresult='positive'\n"
    first, second = parse_case(text + "[history.safety]\n" + ANSWERED).visits
    assert first.notes == "a" and first.findings[0].id == "slr"
    assert second.safety["night_pain"] is True
