"""I4, I10: rows, outbox and deadlines are what the model makes of the same facts, in their order."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.case import Case
from tests.chaos.recorded import Row
from tests.model.door import Fact
from tests.model.dry_run import show
from tests.model.policy import MEDIATION_AFTER
from tests.model.telling import COMMANDS, EVENTS, Told, comparable


def rows_equal_model(case: Case) -> Iterator[str]:
    world = case.world
    commands: dict[str, list[Row]] = defaultdict(list)
    for row in case.rows["commands"]:
        commands[row["order_id"]].append(row)
    rows = {row["order_id"]: row for row in case.rows["escrows"] if row["status"] is not None}
    wanted = {o.order_id: show(o) for o in world.orders.values() if o.status is not None}
    yield from (f"order {id_}: only one side knows it" for id_ in rows.keys() ^ wanted.keys())
    for id_ in rows.keys() & wanted.keys():
        want = wanted[id_]
        orders = want.pop("commands")
        assert isinstance(orders, list)
        if any(want[name] != rows[id_][name] for name in want):
            yield f"order {id_}: the rules say {want}, the row {rows[id_]}"
        told = [{name: row[name] for name in orders[0]} for row in commands[id_]] if orders else []
        if told != orders or len(commands[id_]) != len(orders):
            yield f"order {id_}: the rules order {orders}, the rows {commands[id_]}"
    waiting = {(row["order_id"], row["decision_no"]): row["code"] for row in case.rows["parked"]}
    for line, (spot, row) in enumerate(case.in_order, 1):
        if (answer := world.answers.get(line)) is not None and row["order_id"] is not None:
            place = row["order_id"], row["decision_no"]
            last = case.resolved.get(place) or row
            code = waiting.get(place) if last["outcome"] == "parked" else last["code"]
            if (last["outcome"], code) != answer:
                yield f"{spot}: the rules say {answer}, the rows {last['outcome']} {code}"


def said_as_ruled(case: Case) -> Iterator[str]:
    """The outbox holds what the rules say must be told of these facts, so often, and nothing else.

    What no decision says is not among it: letters, their alarms, and questions to gateways.
    """
    wanted: dict[str, Counter[str]] = defaultdict(Counter)
    there: dict[str, Counter[str]] = defaultdict(Counter)
    facts = [f for spot, _ in case.in_order if isinstance(f := case.places.get(spot), Fact)]
    for fact, told in zip(facts, case.world.told, strict=True):
        for one in told:
            wanted[str(fact.order_id)][comparable(one)] += 1
    commands = {type_ for _, type_ in COMMANDS.values()}
    for row in case.rows["outbox"]:
        if row["type"] not in commands and row["topic"] != EVENTS:
            continue
        data = json.loads(row["payload"])
        if data.get("alarm") != "id_conflict":
            there[row["key"]][comparable(Told(row["topic"], row["type"], data))] += 1
    for key in wanted.keys() | there.keys():
        if wanted[key] != there[key]:
            missing, more = wanted[key] - there[key], there[key] - wanted[key]
            yield f"order {key}: not told {list(missing)}, told for no reason {list(more)}"


def deadlines_stand(case: Case) -> Iterator[str]:
    """Who can still be told that mediation is available has his row, or was told; nobody else has one."""
    told = {
        (row["key"], json.loads(row["payload"])["request_id"])
        for row in case.rows["outbox"]
        if row["type"] == "mediation.available"
    }
    there = {(row["order_id"], row["request_id"]): row["due_at"] for row in case.rows["deadlines"]}
    may: dict[tuple[str, str], int] = {}
    for order in case.world.orders.values():
        if order.request is not None and order.status in {"DISPUTED", "FROZEN"}:
            assert order.first_requested_at is not None
            place = order.order_id, order.request.request_id
            may[place] = order.first_requested_at + MEDIATION_AFTER
            if order.status == "DISPUTED" and place not in told and place not in there:
                yield f"order {place[0]}: nobody will say that mediation is available"
    for place, due_at in there.items():
        if may.get(place) != due_at:
            yield f"order {place[0]}: a deadline at {due_at}, where {may.get(place)} was to be"
