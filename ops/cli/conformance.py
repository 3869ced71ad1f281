"""`escrow conformance`: does an adapter keep the contract; the checks are in ops/conformance."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.cli import terminal
from ops.cli.terminal import JsonOption, a_table, styled

app = typer.Typer(help="Does what you have built keep the contract.", no_args_is_help=True)
SIMULATOR = "ops.conformance.simulator:make"
_STYLES = {"kept": "green", "broken": "bold red", "not tried": "yellow"}


@app.callback()
def _group() -> None:
    """Keep `gateway` a command of its own while it is the only one."""


@app.command()
def gateway(
    adapter: Annotated[
        str,
        typer.Option(help="module:name of something that makes a rig of your adapter."),
    ] = SIMULATOR,
    kit: Annotated[
        Path | None,
        typer.Option(help="A file that says how to start an adapter that is a program on Kafka."),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this check; may be repeated.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run every check of a gateway's contract against an adapter; by default against our simulator.

    With a kit file the adapter is a program in any language, and the checks go over the topics of a
    broker that is started for them. Exit code 1 if one is broken. What cannot be brought about is
    reported as not tried.
    """
    from ops.conformance.checks import CHECKS
    from ops.conformance.run import NoAdapter, verdicts

    unknown = set(only or ()) - CHECKS.keys()
    if unknown:
        raise terminal.fail(f"no such check: {', '.join(sorted(unknown))}")
    try:
        with _maker(adapter, kit) as make:
            results = verdicts(make, only or ())
    except NoAdapter as error:
        raise terminal.fail(str(error)) from None
    if json:
        terminal.print_json([one._asdict() for one in results])
    else:
        terminal.console().print(_page(results))
    broken = sum(one.verdict == "broken" for one in results)
    terminal.note(f"{len(results)} checks, {broken} broken")
    raise typer.Exit(terminal.BAD if broken else terminal.GOOD)


@contextmanager
def _maker(adapter: str, kit: Path | None) -> Iterator[Any]:
    """What makes a rig for each check."""
    from ops.conformance import run

    if kit is None:
        yield run.adapter(adapter)
        return
    from ops.conformance.kit import line, read_kit
    from ops.local.progress import shown

    with shown() as report, line(read_kit(kit), report) as working:
        yield working.rig


def _page(results: list[Any]) -> Any:
    table = a_table("", "what must hold")
    table.columns[0].no_wrap = True
    for one in results:
        what = styled(one.check.replace("_", " "))
        if one.why:
            what.append(f"\n{terminal.plain(one.why)}", style="bold")
            what.append(f"\n{one.sentence}", style="dim")
        table.add_row(styled(one.verdict, _STYLES), what)
    return table
