"""Everything that must be so before the pipeline can work, each with what to do where it is not.

Looks only; changes nothing. What cannot be looked at is unknown, never fine.
"""

import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from consumers.engine import admin
from consumers.engine.config import ConfigError, Settings, load_settings
from storage.reading import DatabaseTrouble, database_facts, revision

CLOCK_SECONDS_MAX: Final = 2.0
DISK_BYTES_MIN: Final = 2 * 1024**3

State = Literal["ok", "warning", "wrong", "unknown"]


class Examined(NamedTuple):
    """One check: what was looked at, what was found, what to do."""

    what: str
    state: State
    found: str
    remedy: str = ""


def examine() -> list[Examined]:
    """All checks, in the order in which to mend things."""
    checks = [_python(), _disk()]
    try:
        settings = load_settings()
    except ConfigError as error:
        remedy = "set the variables right; `escrow config show` lists them"
        checks.append(Examined("configuration", "wrong", str(error), remedy))
        return checks
    servers = settings.kafka.bootstrap_servers
    found = f"profile {settings.profile}, time from {settings.timestamp_type}"
    checks.append(Examined("configuration", "ok", found))
    checks += _database(settings)
    checks += _kafka(settings, servers)
    return checks


def _python() -> Examined:
    version = ".".join(map(str, sys.version_info[:3]))
    state: State = "ok" if sys.version_info >= (3, 11) else "wrong"
    return Examined("Python", state, version, "install Python 3.11 or newer")


def _disk() -> Examined:
    free = shutil.disk_usage(Path.cwd()).free
    state: State = "ok" if free >= DISK_BYTES_MIN else "warning"
    found = f"{free / 1024**3:.1f} GiB free here"
    return Examined("disk", state, found, "free some space: a full disk stops every stage")


def _database(settings: Settings) -> Iterator[Examined]:
    url = settings.database.connection_url
    shown = settings.database.shown_url
    before = time.time()
    try:
        facts = database_facts(url)
        there, wanted = revision(url)
    except DatabaseTrouble as trouble:
        yield Examined("database", "wrong", shown, str(trouble))
        return
    after = time.time()
    found = f"PostgreSQL {facts.version} at {shown}"
    loses = facts.version in _LOSES_UPDATES
    yield Examined("database", "wrong" if loses else "ok", found, _NEWER_SERVER)
    state: State = "ok" if there == wanted else "wrong"
    yield Examined("schema", state, f"revision {there or 'none'}, expected {wanted}", _MIGRATE)
    off = max(before - facts.clock_seconds, facts.clock_seconds - after, 0.0)
    state = "ok" if off <= CLOCK_SECONDS_MAX else "warning"
    found = "the database's and ours agree" if state == "ok" else f"{off:.0f} s apart"
    yield Examined("clock", state, found, "let both machines keep time (NTP)")
    if facts.unsafe:
        remedy = "turn them on: what is committed must stay committed"
        yield Examined("durability", "warning", f"off: {', '.join(facts.unsafe)}", remedy)


def _kafka(settings: Settings, servers: str) -> Iterator[Examined]:
    try:
        cluster_id = admin.cluster_id(settings)
        plans = admin.plan_topics(settings)
    except admin.KafkaUnavailable as error:
        remedy = "is it running, and is ESCROW_KAFKA__BOOTSTRAP_SERVERS right?"
        yield Examined("Kafka", "wrong", str(error), remedy)
        return
    yield Examined("Kafka", "ok", f"cluster {cluster_id} at {servers}")
    missing = [plan.topic for plan in plans if plan.action == "create"]
    if missing:
        found = f"{len(missing)} missing, the first is {missing[0]}"
        yield Examined("topics", "wrong", found, "escrow topics apply")
    elif plans:
        found = f"{len(plans)} settings differ from the catalogue"
        yield Examined("topics", "warning", found, "escrow topics plan, then escrow topics apply")
    else:
        yield Examined("topics", "ok", "as the catalogue says")
    yield from _cluster(settings, cluster_id)


def _cluster(settings: Settings, cluster_id: str) -> Iterator[Examined]:
    """Positions belong to one cluster: another one's offsets mean nothing here."""
    try:
        known = database_facts(settings.database.connection_url).clusters
    except DatabaseTrouble:
        return
    others = sorted(known - {cluster_id})
    if others:
        remedy = (
            "point at the cluster that the positions belong to, or start with an empty database"
        )
        yield Examined("positions", "wrong", f"of another cluster: {', '.join(others)}", remedy)


_MIGRATE: Final = "escrow migrate"
# An UPDATE over arrays passes over rows that another transaction has just changed: our stages notice,
# and halt. Tried: 18.1 does, 18.2 and 18.4 do not.
_LOSES_UPDATES: Final = ("18.0", "18.1")
_NEWER_SERVER: Final = "take PostgreSQL 18.2 or newer: this one loses updates under load"
