"""So many attacks among honest records, in this process: none is accepted, each is refused for its reason."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from escrow.replay import Replay
from ops.local.gateway import effects, entries
from ops.local.gateway.deciding import work_on
from ops.local.gateway.store import Store
from ops.local.gateway.wire import Channels
from schemas.door import Record, Rejected, decode
from schemas.facts import FACT_TYPES
from schemas.keys import KeyRing
from schemas.trust import AllOf, SignatureRules, SourceRules
from tests.attack.forging import Attack, forge, in_his_own_name, without_authority
from tests.attack.honest import SOURCE_RULES, Honest, command, fact
from tests.attack.keys import ring

EVERY_STAGE: Final = tuple(sorted({kind.stage for kind in FACT_TYPES.values()}))


class Siege(NamedTuple):
    """What was tried and what came of it. `wrong`: accepted, or refused for another reason."""

    attacks: int
    honest: int
    reasons: Counter[tuple[str, str]]  # kind of attack, reason
    wrong: list[str]


class Plan(NamedTuple):
    """Records in the order in which they come; `due` is None for an honest one."""

    records: list[Record]
    due: list[str | None]
    kinds: list[str]


def facts_plan(rng: Random, attacks: int) -> Plan:
    """Facts: for each honest one about four attacks, replays of it among them."""
    plan = Plan([], [], [])
    for n in range(10**9):
        honest = fact(rng, n)
        _put(plan, Attack("honest", honest.record, ""))
        for attack in _attacks_on(rng, honest):
            if len(plan.records) - n - 1 >= attacks:
                return plan
            _put(plan, attack)
    raise AssertionError


def _attacks_on(rng: Random, honest: Honest) -> Iterator[Attack]:
    for _ in range(3):
        yield forge(rng, honest)
    authority = without_authority(rng, honest)
    if authority.code:
        yield authority
    yield Attack("replayed", honest.record, "duplicate")


def _put(plan: Plan, attack: Attack) -> None:
    plan.records.append(attack.record)
    plan.due.append(attack.code or None)
    plan.kinds.append(attack.kind)


def on_facts(seed: int, attacks: int) -> Siege:
    """The door and the rules over such a plan."""
    plan = facts_plan(Random(seed), attacks)
    rules = AllOf(
        SignatureRules(ring(), EVERY_STAGE, stamped_by_broker=True), SourceRules(SOURCE_RULES)
    )
    replay = Replay()
    siege = Siege(attacks, len(plan.due) - attacks, Counter(), [])
    for record, due, kind in zip(*plan, strict=True):
        taken = decode(record, rules)
        if isinstance(taken, Rejected):
            came: str | None = taken.code
        else:
            steps = replay.take(taken)
            came = steps if isinstance(steps, str) else None
        _judge(siege, seed, kind, due, came)
    return siege


def _judge(siege: Siege, seed: int, kind: str, due: str | None, came: str | None) -> None:
    if kind != "honest":
        siege.reasons[kind, came or "accepted"] += 1
    if came != due:
        siege.wrong.append(f"seed {seed}: {kind}: due {due}, came {came}")


class _Read(NamedTuple):
    """A record as kafka-python hands it to the gateway."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def commands_plan(rng: Random, attacks: int) -> Plan:
    """Commands: `due` is what the gateway's log must say."""
    plan = Plan([], [], [])
    for n in range(10**9):
        honest = command(rng, n)
        _put(plan, Attack("honest", honest.record, ""))
        tries = [_on_command(rng, honest) for _ in range(3)]
        for attack in (*tries, Attack("replayed", honest.record, "repeats")):
            if len(plan.records) - n - 1 >= attacks:
                return plan
            _put(plan, attack)
    raise AssertionError


def _on_command(rng: Random, honest: Honest) -> Attack:
    if rng.random() < 0.05:
        return in_his_own_name(honest)
    attack = forge(rng, honest)
    while attack.record.topic not in Channels().kinds:  # no gateway reads there
        attack = forge(rng, honest)
    has_envelope = attack.code != "bad_envelope" and attack.kind != "another_mode"
    return attack._replace(code="forged" if has_envelope else "unreadable")


def on_commands(seed: int, attacks: int, keys: KeyRing | None = None) -> Siege:
    """The gateway simulator over such a plan: only the honest ones may move money."""
    plan = commands_plan(Random(seed), attacks)
    siege = Siege(attacks, len(plan.due) - attacks, Counter(), [])
    read = [
        _Read(r.topic, 0, n, r.timestamp_ms, r.key, r.value, list(r.headers))
        for n, r in enumerate(plan.records)
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Store(folder, "attack") as store:
            store.keep(work_on(store, read, Channels().kinds, keys or ring()))
        does = [entry.does for entry in entries(folder)]
        paid = len(effects(folder))
    for due, kind, did in zip(plan.due, plan.kinds, does, strict=True):
        _judge(siege, seed, kind, due, None if did == "pays" else did)
    if paid != siege.honest:
        siege.wrong.append(f"seed {seed}: {paid} payments for {siege.honest} commands")
    return siege
