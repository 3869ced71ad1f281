"""`escrow positions`: from where each stage reads on, and moving that when only a person can decide."""

from typing import Annotated, Any

import typer
from rich.text import Text

from ops.cli import terminal
from ops.cli.terminal import DryRunOption, JsonOption, OperatorOption, YesOption, a_table, styled

app = typer.Typer(help="Where stages read on: show, set.", no_args_is_help=True)


@app.command()
def show(
    stage: Annotated[str | None, typer.Option(help="Only this stage.")] = None,
    json: JsonOption = False,
) -> None:
    """Show position, epoch and log of each partition. Exit code 1 if a stage would halt there."""
    from ops.positions import standings

    settings = terminal.settings()
    with terminal.troubles():
        found = standings(settings, _stages(stage))
    wrong = [row for row in found.standings if _trouble(row, found.cluster_id)]
    if json:
        terminal.print_json(
            {
                "cluster_id": found.cluster_id,
                "positions": [
                    row._asdict() | {"trouble": _trouble(row, found.cluster_id)}
                    for row in found.standings
                ],
                "moves": [move._asdict() for move in found.moves],
            }
        )
    else:
        _print(found)
    raise typer.Exit(terminal.BAD if wrong else terminal.GOOD)


@app.command("set")
def set_position(
    stage: Annotated[str, typer.Option(help="Whose position.")],
    topic: Annotated[str, typer.Option(help="Its topic.")],
    partition: Annotated[int, typer.Option(min=0, help="In this partition.")],
    offset: Annotated[int, typer.Option(min=0, help="The offset to read next.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    operator: OperatorOption,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Let a stage go on from another offset. Facts read again are duplicates; skipped ones are lost.

    Exit code 1 if the log does not hold that offset, or if you decline.
    """
    from ops.positions import CannotMove, check_move, move, standings
    from storage.positions import Move

    settings = terminal.settings()
    with terminal.troubles():
        found = standings(settings, _stages(stage))
        here = (stage, topic, partition)
        standing = next((row for row in found.standings if row[:3] == here), None)
        try:
            check_move(standing, offset)
        except CannotMove as error:
            raise terminal.fail(f"{topic}[{partition}]: {error}", terminal.BAD) from None
        assert standing is not None
        terminal.note(f"{stage}, {topic}[{partition}]: {_what(standing.next_offset, offset)}")
        if dry_run:
            terminal.note("dry run: nothing was moved")
            return
        terminal.confirm("Move the position?", yes=yes)
        move(settings, Move(*here, found.cluster_id, offset, operator, reason))
    terminal.note("moved; its running worker takes it up, or start the stage")


@app.command()
def begin(
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    operator: OperatorOption,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """On another cluster: let every position that belongs to the old one begin where its log begins.

    Facts that were copied there are duplicates. Exit code 1 if you decline.
    """
    from ops.positions import begin_anew, elsewhere

    settings = terminal.settings()
    with terminal.troubles():
        cluster, rows = elsewhere(settings)
        for row in rows:
            place = f"{row.stage}, {row.topic}[{row.partition}]"
            terminal.note(f"{place}: {row.next_offset} of {row.cluster_id} -> {row.log_begin}")
        if not rows:
            terminal.note(
                f"all positions belong to this cluster, {cluster}: give the new one's address."
                " See docs/runbook.md, `moving to another cluster`."
            )
            return
        if dry_run:
            terminal.note("dry run: nothing was moved")
            return
        terminal.confirm(f"Begin anew in {len(rows)} partitions of {cluster}?", yes=yes)
        begin_anew(settings, cluster, rows, operator, reason)
    terminal.note("moved; start the stages")


def _stages(stage: str | None) -> list[str]:
    from consumers.stages import STAGES

    if stage is not None and stage not in STAGES:
        raise terminal.fail(f"no stage {stage}: {', '.join(STAGES)}")
    return list(STAGES) if stage is None else [stage]


def _what(old: int | None, new: int) -> str:
    if old is None or old == new:
        return f"it begins to read at {new}" if old is None else f"it stays at {new}"
    if new > old:
        return f"{old} -> {new}: {new - old} offsets are SKIPPED, their facts never decided"
    return f"{old} -> {new}: {old - new} offsets are read again, their facts are duplicates"


def _trouble(row: Any, cluster_id: str) -> str | None:
    if row.cluster_id not in (None, cluster_id):
        return "another cluster"
    trouble: str | None = row.trouble
    return trouble


def _print(found: Any) -> None:
    numbers = ("p", "epoch", "next", "log begins", "log ends")
    table = a_table("stage", "topic", *numbers, "", right=numbers)
    for row in found.standings:
        figures = (row.partition, row.epoch, row.next_offset, row.log_begin, row.log_end)
        cells = ("-" if figure is None else str(figure) for figure in figures)
        trouble = Text(_trouble(row, found.cluster_id) or "", style="bold red")
        table.add_row(row.stage, styled(row.topic, style="dim"), *cells, trouble)
    console = terminal.console()
    console.print(table)
    for moved in found.moves:
        place = f"{moved.stage} {moved.topic}[{moved.partition}]"
        way = f"{'-' if moved.from_offset is None else moved.from_offset} -> {moved.to_offset}"
        said = f"{moved.at:%Y-%m-%d %H:%M:%S} {place} {way} by {moved.operator_id}: {moved.reason}"
        console.print(styled(said, style="dim"))
