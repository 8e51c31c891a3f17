"""The interview: danger first, resumes where it stopped, says why, keeps every other line of the file."""

from __future__ import annotations

import pytest
import typer.testing

from hipspine import cli
from hipspine.case import parse_case
from hipspine.case.schema import EMERGENCY, SAFETY
from hipspine.case.template import template
from hipspine.clinic.interview import questions, with_answer
from hipspine.errors import DataError
from tests.cases import ANSWERED

RUN = typer.testing.CliRunner()
VISIT = "[history.safety]\n" + ANSWERED + "\n[[visits]]\ndate = 2026-01-08\n"


def first(text: str):
    return next(questions(parse_case(text)), None)


def test_danger_comes_first_and_its_emergencies_before_the_rest():
    keys = [one.key for one in questions(parse_case(""))]
    assert tuple(keys[: len(EMERGENCY)]) == EMERGENCY
    assert set(keys[: len(SAFETY)]) == {one.name for one in SAFETY}


@pytest.mark.parametrize("start", ["", template(), template(quick=True)])
def test_answering_everything_leaves_nothing_to_ask_and_all_answers_in_the_file(start):
    text, asked = start, set()
    while (question := first(text)) is not None:
        key = (question.section, question.key, question.side)
        assert key not in asked, f"{key} is asked twice"
        asked.add(key)
        said = {"y or n": "n", "in your words": "nothing else", "p (positive), n (negative)": "n"}.get(question.answers)
        if said is None:
            said = "40" if question.answers.startswith("a number") else question.answers.split(": ")[1].split(", ")[0]
        text = with_answer(text, question, said)
    case = parse_case(text)
    assert (
        set(case.safety) == {one.name for one in SAFETY} and case.findings and case.history["notes"] == "nothing else"
    )
    kept = [line for line in start.splitlines() if line]
    assert [line for line in text.splitlines() if line in set(kept)][: len(kept)] == kept


def test_every_question_says_why_it_is_asked():
    for question in questions(parse_case("[history.safety]\n" + ANSWERED)):
        assert question.why.endswith(".") and question.text and question.answers


def test_a_visit_is_asked_anew_and_the_answer_goes_to_that_visit():
    question = first(VISIT)
    assert (question.section, question.key) == ("visits.safety", EMERGENCY[0])
    text = with_answer(VISIT, question, "n")
    case = parse_case(text)
    assert dict(case.visits[0].safety) == {EMERGENCY[0]: False}
    two = VISIT + "[visits.safety]\n" + ANSWERED + "[[visits]]\ndate = 2026-02-08\n"
    case = parse_case(with_answer(two, first(two), "n"))
    assert dict(case.visits[1].safety) == {EMERGENCY[0]: False} and len(case.visits[0].safety) == len(EMERGENCY)


def test_visits_out_of_order_are_refused():
    text = VISIT + "[[visits]]\ndate = 2026-01-01\n"
    with pytest.raises(DataError, match="order of their days"):
        with_answer(text, first(text), "n")


def test_an_answer_that_cannot_be_used_is_refused():
    question = first("")
    with pytest.raises(DataError, match="y or n"):
        with_answer("", question, "perhaps")
    age = next(one for one in questions(parse_case("")) if one.key == "age")
    with pytest.raises(DataError, match="0 to 120"):
        with_answer("", age, "300")
    with pytest.raises(DataError, match="no number"):
        with_answer("", age, "forty")


def test_text_with_quotes_and_backslashes_comes_back_as_it_was_said():
    notes = next(one for one in questions(parse_case("")) if one.key == "notes")
    said = 'Says "it burns" \\ at night'
    assert parse_case(with_answer("", notes, said)).history["notes"] == said


def test_the_command_keeps_each_answer_resumes_and_stops_at_an_emergency(tmp_path):
    RUN.invoke(cli.app, ["new", str(tmp_path / "c")])
    run = RUN.invoke(cli.app, ["interview", str(tmp_path / "c")], input="?\nmaybe\nn\nq\n")
    assert run.exit_code == 0 and "A yes can point to" in run.output and "expected y or n" in run.output
    text = (tmp_path / "c" / "case.toml").read_text(encoding="utf-8")
    assert parse_case(text).safety == {EMERGENCY[0]: False}
    again = RUN.invoke(cli.app, ["interview", str(tmp_path / "c")], input="y\n")
    assert "EMERGENCY" in again.output and "cauda equina" in again.output
    third = RUN.invoke(cli.app, ["interview", str(tmp_path / "c")])
    assert "EMERGENCY" in third.output


def test_a_question_left_open_is_not_asked_twice_in_one_run(tmp_path):
    RUN.invoke(cli.app, ["new", str(tmp_path / "c"), "--quick"])
    run = RUN.invoke(cli.app, ["interview", str(tmp_path / "c")], input="\n" * 200)
    assert run.exit_code == 0 and "Nothing else to ask" in run.output
    assert not parse_case((tmp_path / "c" / "case.toml").read_text(encoding="utf-8")).safety
