"""This file answers: what can be asked of hipspine from a terminal?

Each command parses, calls one function and shows what came back: no arithmetic here. Results go to standard output,
talk to standard error. Whatever computes is imported inside the command, so that `hipspine --help` answers at once
(docs/decisions/0005-command-line-start-up.md).

Exit codes: 0 done, 2 an input cannot be used (one sentence says why), 130 interrupted; on 2 and 130 nothing was
written.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from hipspine import __version__
from hipspine.case_commands import register_on
from hipspine.errors import DataError, HipspineError
from hipspine.output_folder import output_folder

app = typer.Typer(
    name="hipspine",
    help="What every joint bears while a person moves, from recorded movement and an OpenSim model.",
    no_args_is_help=True,
    add_completion=False,
    # Plain help and errors: Rich's would double the start-up time. Tables and progress still use Rich.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

MOST_WARNINGS = 20  # sentences on the terminal

InputFile = typer.Argument(exists=True, dir_okay=False, readable=True)
OutputFolder = typer.Option("--out", metavar="DIR", file_okay=False, help="Folder of the results; made if missing.")


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn what the person can mend into one sentence and an exit code; anything else is our fault and stays loud."""
    try:
        yield
    except HipspineError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except BrokenPipeError:  # the reader of our output left, as `hipspine info walk.c3d | head -1` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(141) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):  # a failed write does not say of which file
            typer.echo(f"Nothing was written: {(error.strerror or 'the disk is full').lower()}. Make room.", err=True)
            raise typer.Exit(2) from None
        if error.filename is None:
            raise
        typer.echo(f"{error.filename}: {(error.strerror or 'cannot be used').lower()}.", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo("Interrupted; nothing was written.", err=True)
        raise typer.Exit(130) from None


@contextmanager
def stages() -> Iterator[Callable[[str], None]]:
    """Show on standard error which stage is under way: on a terminal a line that moves on, in a log nothing."""
    from hipspine.jit import first_run

    if first_run():
        typer.echo("First run on this machine: compiling once, one to two minutes. Later runs start at once.", err=True)
        from hipspine.warm_kernels import warm_all

        warm_all()
    if not sys.stderr.isatty():
        yield lambda stage: None
        return
    from rich.console import Console

    with Console(stderr=True).status("Reading") as status:
        yield lambda stage: status.update(stage)


def show_version(asked: bool) -> None:
    """Print the version and stop."""
    if asked:
        typer.echo(f"hipspine {__version__}")
        raise typer.Exit


@app.callback()
def hipspine(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """What every joint bears while a person moves, from recorded movement and an OpenSim model."""


@app.command()
def run(
    setup: Annotated[Path, InputFile],
    out: Annotated[Path | None, OutputFolder] = None,
) -> None:
    """Run an OpenSim tool SETUP.xml and write the result files OpenSim would write.

    Reads the setup files of the Scale, InverseKinematics, InverseDynamics and Analyze tools. Without --out the results
    go where the setup file says.
    """
    with plain_errors(), stages():
        from hipspine.tools import run_setup

        written = run_setup(setup, out)
    for path in written:
        typer.echo(path)


@app.command()
def compare(setup: Annotated[Path, InputFile]) -> None:
    """Run SETUP.xml with hipspine and with OpenSim, where installed, and print how far apart the answers are."""
    with plain_errors(), stages():
        from hipspine.tools import compare_setup

        comparison = compare_setup(setup)
    typer.echo(comparison.as_table())


@app.command()
def loads(
    trial: Annotated[Path, InputFile],
    out: Annotated[Path, OutputFolder],
    model: Annotated[
        Path, typer.Option("--model", metavar="M.osim", exists=True, dir_okay=False, help="OpenSim model.")
    ],
    forces: Annotated[
        Path | None,
        typer.Option(
            "--forces",
            metavar="F",
            exists=True,
            dir_okay=False,
            help="Ground forces: an ExternalLoads .xml or a .mot; a C3D trial brings its own.",
        ),
    ] = None,
    scale: Annotated[
        Path | None,
        typer.Option(
            "--scale",
            metavar="STATIC",
            exists=True,
            dir_okay=False,
            help="Standing trial to scale the model to; needs --mass. Without it the model is taken as scaled.",
        ),
    ] = None,
    mass: Annotated[float | None, typer.Option("--mass", metavar="KG", min=0.1, help="Body mass, kg.")] = None,
    markers: Annotated[
        Path | None,
        typer.Option(
            "--markers",
            metavar="MAP",
            exists=True,
            dir_okay=False,
            help="Table of two columns: marker in the trial, marker in the model.",
        ),
    ] = None,
    cutoff: Annotated[
        float, typer.Option("--cutoff", metavar="HZ", help="Low-pass of the joint angles, Hz.", show_default=True)
    ] = 6.0,
    exponent: Annotated[
        float,
        typer.Option("--exponent", metavar="P", help="Muscles share the load by the least sum of activation^P."),
    ] = 2.0,
    up: Annotated[
        str | None,
        typer.Option("--up", metavar="AXIS", help="Laboratory axis that points up (y, z, -x ...); else found."),
    ] = None,
    forward: Annotated[
        str | None,
        typer.Option("--forward", metavar="AXIS", help="Laboratory axis the person faces; else found."),
    ] = None,
    units: Annotated[
        str | None,
        typer.Option("--units", metavar="UNIT", help="Length unit of the markers (mm, m), where the file is wrong."),
    ] = None,
    swap_sides: Annotated[
        bool, typer.Option("--swap-sides", help="Exchange left and right in the marker names.")
    ] = False,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write the tables as Parquet too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Joint loads in one recorded TRIAL (C3D or TRC), from markers to a report.

    Writes report.html, loads.json, kinematics.sto, moments.sto, activations.sto, forces.sto and reactions.sto.
    """
    with plain_errors():
        if (scale is None) != (mass is None):
            given, missing = ("--scale", "--mass KG") if mass is None else ("--mass", "--scale STATIC")
            raise DataError(f"{given} is used only together with {missing}. Give both, or neither for a scaled model.")
        with stages() as say, output_folder(out) as folder:
            from hipspine.pipeline import analyse_trial
            from hipspine.report.results import load_summary, write_results

            analysis = analyse_trial(
                trial, model=model, forces=forces, static=scale, mass=mass, marker_map=markers, cutoff=cutoff,
                exponent=exponent, up=up, forward=forward, units=units, swap_sides=swap_sides, say=say,
            )  # fmt: skip
            say("Writing")
            write_results(analysis, folder, parquet=parquet)
            summary = load_summary(analysis)
    tell(analysis.provenance.warnings)
    show(summary, out, as_json=as_json)


@app.command()
def demo(
    out: Annotated[Path, OutputFolder],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Analyse the built-in example and write what `loads` writes: nothing else is needed."""
    with plain_errors(), stages(), output_folder(out) as folder:
        from hipspine.pipeline import demo as analyse_example
        from hipspine.report.results import load_summary, write_results

        analysis = analyse_example(folder)
        write_results(analysis, folder, parquet=False)
        summary = load_summary(analysis)
    show(summary, out, as_json=as_json)


@app.command()
def info(file: Annotated[Path, InputFile]) -> None:
    """Say what is in FILE (.osim, .c3d, .trc, .mot, .sto, setup .xml): names, counts, times, units, what is ignored."""
    with plain_errors():
        from hipspine.tools import describe_file

        typer.echo(describe_file(file))


def tell(warnings: tuple[str, ...]) -> None:
    """Say what a reader of the results should know; loads.json keeps all of it."""
    for sentence in warnings[:MOST_WARNINGS]:
        typer.echo(sentence, err=True)
    if len(warnings) > MOST_WARNINGS:
        typer.echo(f"... and {len(warnings) - MOST_WARNINGS} more: see loads.json.", err=True)


def show(summary, out: Path, *, as_json: bool) -> None:
    """Print a summary of loads, and say where the report is."""
    typer.echo(summary.as_json() if as_json else summary.as_table())
    typer.echo(f"Report: {out / 'report.html'}", err=True)


register_on(app, plain_errors)


def main() -> None:
    """Entry point of the `hipspine` command."""
    app(prog_name="hipspine")


if __name__ == "__main__":
    main()
