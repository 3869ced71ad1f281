"""A gateway's file against one snapshot of the database, which blocks nobody."""

from pathlib import Path

from ops.gateway_file import read_gateway_file
from ops.reconciliation import Gap, Ordered, Reconciliation, reconcile
from storage.reading import snapshot
from storage.reconciling import ledger_gaps, stream_commands


def reconcile_file(
    url: str, path: Path, since: int | None = None, until: int | None = None
) -> Reconciliation:
    """Reconcile. `since`, `until`: ms UTC. Raises BadFile, OSError or DatabaseTrouble."""
    entries = list(read_gateway_file(path))  # before the snapshot: it may be slow, or wrong
    with snapshot(url) as connection:
        commands = (Ordered(*row) for row in stream_commands(connection))
        gaps = [Gap(*row) for row in ledger_gaps(connection)]
        return reconcile(entries, commands, gaps, since=since, until=until)
