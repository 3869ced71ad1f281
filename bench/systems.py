"""Who is put to the trial: our pipeline, the limit of its parts, and peers on the same topics.

Each is checked by what it has left behind, not by what it says.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from sqlalchemy import create_engine

from bench.peers import textbook
from bench.place import PARTITIONS, Place
from bench.trial import System
from ops.local.processes import escrow
from ops.local.traffic import PLAIN_FACTS, PLAIN_TOPICS
from schemas.commands import PAYOUT_COMMANDS

STAGES: Final = ("payments", "shipments", "refund_requests")
READ: Final = "SELECT sum(applied + refused + parked + duplicate + dead_letter) FROM batches"
DECIDED_BY: Final = "SELECT sum(applied + refused) FROM batches WHERE stage = '{}'"
SENT: Final = "SELECT count(*) FROM outbox WHERE sent_at IS NOT NULL"
_OURS: Final = "SELECT (SELECT count(*) FROM consumer_positions WHERE epoch > 0)"
_SLICES: Final = "SELECT count(*) FROM outbox_slices WHERE epoch = 0"
_STREAMS: Final = Path(__file__).parent / "peers" / "streams"
_ASSIGNED: Final = len(STAGES) * PARTITIONS


def _nothing(_where: Place) -> None:
    """Nothing to prepare: migrations have made the tables."""


def _pipeline_ready(where: Place) -> bool:
    return where.number(_OURS) == _ASSIGNED and where.number(_SLICES) == 0


def _all_told(where: Place, orders: int) -> bool:
    return where.written(PAYOUT_COMMANDS) >= orders


def _pipeline_done(where: Place, orders: int) -> bool:
    return _all_told(where, orders) and where.number(READ) == PLAIN_FACTS * orders


def _check_pipeline(where: Place, orders: int) -> None:
    """Every order released, one command each, sent once; every fact stored once."""
    wrong = where.number("SELECT count(*) FROM escrows WHERE status IS DISTINCT FROM 'RELEASED'")
    commands = where.query("SELECT count(*), count(DISTINCT order_id) FROM commands")
    facts = where.number("SELECT count(*) FROM facts")
    assert wrong == 0, wrong
    assert commands == [(orders, orders)], commands
    assert facts == PLAIN_FACTS * orders, facts
    assert where.written(PAYOUT_COMMANDS) == orders


def _make_limit_tables(where: Place) -> None:
    """No index on the rows; one row of progress a worker, so that looking costs nothing."""
    where.query("CREATE TABLE bench_limit (order_id text, type text, t int8, payload text)")
    where.query("CREATE TABLE bench_progress (topic text PRIMARY KEY, done int8 NOT NULL)")


def _limit_ready(where: Place) -> bool:
    return where.number("SELECT count(*) FROM bench_progress") == len(PLAIN_TOPICS)


def _limit_done(where: Place, orders: int) -> bool:
    return where.number("SELECT sum(done) FROM bench_progress") == PLAIN_FACTS * orders


def _check_limit(where: Place, orders: int) -> None:
    assert where.number("SELECT count(*) FROM bench_limit") == PLAIN_FACTS * orders


def _make_textbook_tables(where: Place) -> None:
    engine = create_engine(where.settings.database.connection_url)
    textbook.Base.metadata.create_all(engine)
    engine.dispose()


def _textbook_done(where: Place, orders: int) -> bool:
    seen = where.number("SELECT count(*) FROM textbook_messages")
    return seen == PLAIN_FACTS * orders and _all_told(where, orders)


def _check_textbook(where: Place, orders: int) -> None:
    paid = where.number("SELECT count(*) FROM textbook_orders WHERE status = 'RELEASED'")
    seen = where.number("SELECT count(*) FROM textbook_messages")
    assert (paid, seen) == (orders, PLAIN_FACTS * orders), (paid, seen)
    assert where.written(PAYOUT_COMMANDS) == orders


def _check_told(where: Place, orders: int) -> None:
    assert where.written(PAYOUT_COMMANDS) == orders, "a command is missing, or there twice"


def _check_committed(where: Place, orders: int) -> None:
    """Its topic also holds the marks of its transactions."""
    assert where.committed(PAYOUT_COMMANDS) == orders, "a command is missing, or there twice"


def _build_streams(_where: Place) -> None:
    """Maven loads what it needs, once; the class path goes into a file that `java` reads."""
    words = (
        "-q",
        "-B",
        "compile",
        "dependency:build-classpath",
        "-Dmdep.outputFile=build/classpath",
    )
    subprocess.run(("mvn", *words), cwd=_STREAMS, check=True, stdin=subprocess.DEVNULL)
    classpath = (_STREAMS / "build/classpath").read_text(encoding="utf-8").strip()
    (_STREAMS / "build/java").write_text(
        f"-Xmx512m\n-cp\n{_STREAMS / 'build/classes'}:{classpath}\nOrders\n", encoding="utf-8"
    )


def has_java() -> bool:
    """Whether Kafka Streams can be put to the trial here."""
    return bool(shutil.which("mvn") and shutil.which("javac"))


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


PIPELINE: Final = System(
    "pipeline",
    {**{stage: escrow("consume", stage) for stage in STAGES}, "relay": escrow("relay")},
    _nothing,
    _pipeline_ready,
    _pipeline_done,
    _check_pipeline,
)
LIMIT: Final = System(
    "limit",
    {f"limit-{topic}": _python("bench.limit_worker", topic) for topic in PLAIN_TOPICS},
    _make_limit_tables,
    _limit_ready,
    _limit_done,
    _check_limit,
)
TEXTBOOK: Final = System(
    "textbook",
    {
        **{f"textbook-{t}": _python("bench.peers.textbook", t) for t in PLAIN_TOPICS},
        "textbook-relay": _python("bench.peers.textbook", "relay"),
    },
    _make_textbook_tables,
    lambda where: where.members("textbook-") == len(PLAIN_TOPICS),
    _textbook_done,
    _check_textbook,
)
FAUST: Final = System(
    "faust",
    {"faust": _python("bench.peers.faust_orders")},
    _nothing,
    lambda where: where.members("bench-faust") == 1,
    _all_told,
    _check_told,
)
KAFKA_STREAMS: Final = System(
    "streams",
    {"streams": ("java", f"@{_STREAMS / 'build/java'}", "100")},
    _build_streams,
    lambda where: where.members("bench-streams") == 2,  # its threads
    lambda where, orders: where.taken("bench-streams") == PLAIN_FACTS * orders,
    _check_committed,
)
