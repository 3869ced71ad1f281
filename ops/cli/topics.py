"""`escrow topics`: Kafka's topics against the catalogue; they are added to, never shrunk or deleted."""

from typing import Annotated, Any

import typer

from ops.cli import terminal
from ops.cli.terminal import DryRunOption, JsonOption, YesOption, a_table, styled

app = typer.Typer(help="Kafka's topics, and who may do what with them.", no_args_is_help=True)
_STYLES = {"create": "green", "configure": "yellow", "warn": "red"}


@app.command()
def plan(json: JsonOption = False) -> None:
    """Show what `apply` would do. Exit code 1 if there is something to do."""
    from consumers.engine.admin import plan_topics

    settings = terminal.settings()
    with terminal.troubles():
        plans = plan_topics(settings)
    if json:
        terminal.print_json([step._asdict() for step in plans])
    else:
        _print(plans)
    raise typer.Exit(terminal.BAD if plans else terminal.GOOD)


@app.command()
def apply(
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    replication_factor: Annotated[
        int, typer.Option(min=-1, help="Copies of each new topic; -1: the broker's default.")
    ] = -1,
) -> None:
    """Create the topics that are missing and set what differs. Exit code 1 if you decline."""
    from consumers.engine.admin import apply_topics, plan_topics

    settings = terminal.settings()
    with terminal.troubles():
        plans = plan_topics(settings)
        _print(plans)
        todo = [step for step in plans if step.action != "warn"]
        if dry_run or not todo:
            return
        terminal.confirm(f"Do these {len(todo)} things?", yes=yes)
        apply_topics(settings, replication_factor=replication_factor)
    terminal.note("done")


@app.command()
def acl(
    principal: Annotated[
        list[str] | None,
        typer.Option(help="WHO=USER: what Kafka calls one of ours, e.g. relay=CN=relay."),
    ] = None,
    put: Annotated[bool, typer.Option("--apply", help="Put them into force.")] = False,
    json: JsonOption = False,
    yes: YesOption = False,
) -> None:
    """Print the rights that the catalogue makes, as commands of Kafka's own tools.

    With --apply, these users get exactly them: what else they may is taken away. Exit code 1 if you
    decline.
    """
    from consumers.engine.acls import PRINCIPALS, allowed, apply_acls, commands_of, user_of

    users = dict(part.partition("=")[::2] for part in principal or ())
    if strange := users.keys() - PRINCIPALS.keys():
        known = ", ".join(PRINCIPALS)
        raise terminal.fail(f"no principal {', '.join(sorted(strange))}; there are: {known}")
    settings = terminal.settings()
    rights = allowed(settings)
    if json:
        shown = [{"user": user_of(r.principal, users), **r._asdict()} for r in rights]
        terminal.print_json(shown)
        return
    if not put:
        for line in commands_of(rights, users, settings.kafka.bootstrap_servers):
            typer.echo(line)
        return
    with terminal.troubles():
        terminal.confirm(f"Give {len(PRINCIPALS)} users these {len(rights)} rights?", yes=yes)
        made, taken = apply_acls(settings, users)
    terminal.note(f"{made} rights given, {taken} taken away")


@app.command()
def grow(
    topic: Annotated[str, typer.Argument(help="A topic of the catalogue.")],
    partitions: Annotated[int, typer.Option(min=1, help="How many it shall have.")],
    dry_run: DryRunOption = False,
    yes: YesOption = False,
) -> None:
    """Add partitions to a topic. Keys change their place: first stop its senders and let it drain.

    Exit code 1 while its stage has not read all of it, or if you decline.
    """
    from consumers.engine.admin import grow_topic, spans
    from ops.positions import not_drained
    from schemas.topics import TOPIC_NAMES

    settings = terminal.settings()
    if topic not in TOPIC_NAMES:
        raise terminal.fail(f"no topic {topic} in the catalogue")
    with terminal.troubles():
        there = len(spans(settings, [topic]))
        if partitions <= there:
            raise terminal.fail(f"{topic} has {there} partitions: they are only ever added to")
        waiting = not_drained(settings, topic)
        if waiting:
            where = ", ".join(str(row.partition) for row in waiting)
            text = (
                f"not read to the end: partition {where}; stop the senders and wait."
                " See docs/runbook.md, `adding partitions`."
            )
            raise terminal.fail(text, terminal.BAD)
        terminal.note(f"{topic}: {there} -> {partitions} partitions; it cannot be undone")
        if dry_run:
            terminal.note("dry run: nothing was added")
            return
        terminal.confirm("Add them?", yes=yes)
        grow_topic(settings, topic, partitions)
    terminal.note("added; within half a minute the stages read them. Senders may go on")


def _print(plans: list[Any]) -> None:
    if not plans:
        terminal.note("all topics are as the catalogue says")
        return
    table = a_table("do", "what", "topics")
    topics: dict[tuple[str, str], list[str]] = {}
    for step in plans:
        topics.setdefault((step.action, step.detail), []).append(step.topic)
    for (action, detail), names in topics.items():
        table.add_row(styled(action, _STYLES), styled(detail), styled(" ".join(names), style="dim"))
    terminal.console().print(table)
