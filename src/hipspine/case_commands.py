"""This file answers: which commands work on a case: new, interview, check, findings, evidence?

Each parses, calls one function and shows what came back. `register_on` adds them to the program of `hipspine.cli`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import typer

CaseFolder = typer.Argument(metavar="CASE", help="Case folder, or its case.toml.")


def register_on(app: typer.Typer, plain_errors: Callable[[], AbstractContextManager[None]]) -> None:
    """Add the commands to a program; `plain_errors` turns what the person can mend into a sentence."""

    @app.command()
    def new(
        case: Annotated[Path, typer.Argument(metavar="CASE", help="Folder of the new case; made if missing.")],
        quick: Annotated[bool, typer.Option("--quick", help="Only what a quick visit asks and measures.")] = False,
    ) -> None:
        """Write a commented case.toml into the folder CASE, ready to be filled in."""
        with plain_errors():
            from hipspine.case.reading import FILE_NAME
            from hipspine.case.template import template
            from hipspine.errors import DataError

            target = case / FILE_NAME
            if target.exists():
                raise DataError(f"{target} exists and is left as it is. Name another folder.")
            case.mkdir(parents=True, exist_ok=True)
            target.write_text(template(quick), encoding="utf-8")
        typer.echo(target)

    @app.command()
    def interview(case: Annotated[Path, CaseFolder]) -> None:
        """Ask what CASE does not answer yet, danger first; each answer is kept at once, so stop whenever you like."""
        with plain_errors():
            from hipspine.case.reading import case_file, parse_case, read_case
            from hipspine.clinic.findings import findings as find
            from hipspine.clinic.interview import questions, with_answer
            from hipspine.clinic.safety_gate import screen
            from hipspine.errors import HipspineError
            from hipspine.output_folder import output_file
            from hipspine.report.findings_text import as_text

            read_case(case)  # a file that cannot be read is refused in its own words
            target = case_file(case)
            text, skipped = target.read_text(encoding="utf-8"), set()
            typer.echo("Enter leaves a question open, ? says why it is asked, q stops.", err=True)
            while True:
                now = parse_case(text, str(target))
                if screen(now).state == "act now":
                    typer.echo(as_text(find(now)), nl=False)
                    return
                rest = (one for one in questions(now) if (one.section, one.key, one.side) not in skipped)
                question = next(rest, None)
                if question is None:
                    typer.echo(f"Nothing else to ask. Next: hipspine findings {case}", err=True)
                    return
                typer.echo(f"\n{question.text}\n  {question.answers}")
                said = typer.prompt("", default="", show_default=False, prompt_suffix="> ").strip()
                if said == "?":
                    typer.echo(question.why)
                elif said == "q":
                    return
                elif not said:
                    skipped.add((question.section, question.key, question.side))
                else:
                    try:
                        text = with_answer(text, question, said)
                    except HipspineError as error:
                        typer.echo(str(error), err=True)
                        continue
                    with output_file(target) as fresh:
                        fresh.write_text(text, encoding="utf-8")

    @app.command()
    def check(case: Annotated[Path, CaseFolder]) -> None:
        """Say what in CASE cannot be used, and what is missing, odd or contradictory."""
        with plain_errors():
            from hipspine.case import check_case, read_case

            remarks = check_case(read_case(case))
        for one in remarks:
            typer.echo(f"{one.sort}  [{one.where}] {one.text}")
        typer.echo(f"{case} can be read; {len(remarks)} remarks.", err=True)

    @app.command()
    def findings(
        case: Annotated[Path, CaseFolder],
        out: Annotated[
            Path | None,
            typer.Option("--out", metavar="DIR", file_okay=False, help="Write findings.json and findings.html there."),
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    ) -> None:
        """First whether anything in CASE is dangerous, then which sources of pain its findings speak for."""
        with plain_errors():
            from hipspine.case import read_case
            from hipspine.clinic.findings import as_record
            from hipspine.clinic.findings import findings as find

            answer = find(read_case(case))
            text = json.dumps(as_record(answer), ensure_ascii=False, indent=2) + "\n"
            if out is not None:
                from hipspine.output_folder import output_folder
                from hipspine.report.findings_page import as_html

                with output_folder(out) as folder:
                    (folder / "findings.json").write_text(text, encoding="utf-8")
                    (folder / "findings.html").write_text(as_html(answer), encoding="utf-8")
            if not as_json:
                from hipspine.report.findings_text import as_text

                text = as_text(answer)
            typer.echo(text, nl=False)
        if out is not None:
            typer.echo(f"Page: {out / 'findings.html'}", err=True)

    @app.command()
    def evidence(
        claim: Annotated[str | None, typer.Argument(metavar="[ID]", help="A claim, SIJ-018 for instance.")] = None,
    ) -> None:
        """Show one claim of the evidence register with all that depends on it, or list every claim."""
        with plain_errors():
            from hipspine.clinic.dependents import dependents
            from hipspine.evidence.register import STATUSES, register

            if claim is None:
                for one in register():
                    typer.echo(f"{one.id}  {one.status:8}  {one.statement}: {one.statistic} {one.figure()}")
                return
            one = register()[claim]
            rows = [
                ("statement", one.statement),
                ("figure", f"{one.statistic} {one.figure()}"),
                ("population", one.population),
                ("reference", one.reference),
                ("design", one.design),
                ("source", " ".join(filter(None, (one.citation, one.doi and f"doi:{one.doi}", one.where)))),
                ("status", f"{one.status} ({STATUSES[one.status]})"),
                ("certainty", one.certainty),
                ("mismatch", one.mismatch),
                ("computed from", ", ".join(one.computed_from)),
                ("reviewed by", one.reviewed_by or "not yet reviewed by a clinician"),
            ]
            typer.echo(one.id)
            for name, text in rows:
                if text:
                    typer.echo(f"  {name}: {text}")
            typer.echo("  used by:")
            for where in dependents()[one.id]:
                typer.echo(f"    {where}")
