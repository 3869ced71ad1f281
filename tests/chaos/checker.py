"""The judge: what is in the rows follows from what is in the topics, and from nothing else.

Rules come from `tests.model`, which was written from RULES alone. Each invariant of the reliability
page is a function that yields violations; a read that fell short makes the verdict `unknown`.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Final

from tests.chaos.recorded import Recorded, Row, Seen, Spot
from tests.model.door import Fact, Record, Rejected, open_record
from tests.model.dry_run import show
from tests.model.policy import MEDIATION_AFTER
from tests.model.rules import World
from tests.model.shapes import TOPIC_OF
from tests.model.telling import COMMANDS, EVENTS, Told, comparable

VALUE_BYTES_MAX: Final = 65_536
DEAD_LETTERS: Final = "escrow.dead-letters.v1"
Queue = tuple[str, str, str]  # topic, key, and of a dead letter where it comes from
STAGE_OF: Final = {topic: topic.split(".")[1].replace("-", "_") for topic in TOPIC_OF.values()}
SHOWN_MAX: Final = 5  # of each kind of violation


@dataclass
class Verdict:
    """`ok`, `bad` or `unknown`; counts say how much was looked at."""

    counts: Counter[str]
    violations: list[str]
    unknown: list[str]

    @property
    def word(self) -> str:
        return "bad" if self.violations else "unknown" if self.unknown else "ok"


class Judge:
    """Remembers between verdicts what may never change again (I9)."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], bytes] = {}

    def judge(self, recorded: Recorded) -> Verdict:
        case = Case(recorded)
        counts: Counter[str] = Counter(records=len(case.places), facts=len(case.stored))
        counts.update(orders=len(case.rows["escrows"]), effects=len(recorded.effects))
        counts.update(dead_letters=len(case.rows["letters"]), batches=len(case.rows["batches"]))
        if not recorded.complete:
            return Verdict(counts, [], recorded.missing)
        found: list[str] = []
        for name, check in CHECKS.items():
            some = [f"{name}: {text}" for text in check(case)]
            counts[name] = len(some)
            found += some[:SHOWN_MAX]
        found += [f"I9: {text}" for text in self._changed(case)][:SHOWN_MAX]
        return Verdict(counts, found, [])

    def _changed(self, case: "Case") -> Iterator[str]:
        """Facts, postings and batches: what was there is there, and is the same."""
        now: dict[tuple[object, ...], bytes] = {}
        for name, key in _APPEND_ONLY.items():
            for row in case.rows[name]:
                digest = sha256(repr(sorted(row.items())).encode()).digest()
                now[name, *(row[column] for column in key)] = digest
        for place, digest in self._kept.items():
            if now.get(place) != digest:
                yield f"{place} was changed or deleted"
        self._kept = now


_APPEND_ONLY: Final = {
    "facts": ("order_id", "decision_no"),
    "resolutions": ("order_id", "decision_no"),
    "batches": ("stage", "topic", "partition", "first_offset", "epoch"),
}


class Case:
    """The recorded inputs, opened by the model's door, beside the rows."""

    def __init__(self, recorded: Recorded) -> None:
        self.recorded, self.rows = recorded, recorded.rows
        self.ends = {
            place: len(seen) for place, seen in recorded.topics.items() if place[0] in STAGE_OF
        }
        self.places: dict[Spot, Fact | str] = {
            seen.spot: opened(seen)
            for (topic, _), records in recorded.topics.items()
            if topic in STAGE_OF
            for seen in records
        }
        self.stored: dict[Spot, Row] = {}
        for row in self.rows["facts"]:
            self.stored[TOPIC_OF[row["type"]], row["partition"], row["offset"]] = row
        for row in self.rows["reports"]:
            row |= {"type": "supplier.reported", "order_id": None, "outcome": "applied"}
            self.stored[TOPIC_OF["supplier.reported"], row["partition"], row["offset"]] = row
        self.letters = {
            (row["topic"], row["partition"], row["offset"]): row["code"]
            for row in self.rows["letters"]
        }
        self.resolved = {(r["order_id"], r["parked_no"]): r for r in self.rows["resolutions"]}
        self.in_order = sorted(self.stored.items(), key=lambda item: int(item[1]["seq"]))

    @cached_property
    def world(self) -> World:
        """What the rules make of the facts, in the order in which they were decided."""
        world = World()
        for line, (spot, _) in enumerate(self.in_order, 1):
            fact = self.places.get(spot)
            if isinstance(fact, Fact):
                world.arrive(line, fact)
        return world


def opened(seen: Seen) -> Fact | str:
    """The fact in a record, or the code with which the door must refuse it."""
    if seen.value is not None and len(seen.value) > VALUE_BYTES_MAX:
        return "too_large"
    sent = {n: v for n, v in dict(seen.headers).items() if v is not None and _matters(n)}
    if _is_structured(sent):  # its `ce_*` headers are ignored, whatever their bytes
        sent = {n: v for n, v in sent.items() if n == "content-type"}
    try:
        headers = {n: v.decode() for n, v in sent.items()}
    except UnicodeDecodeError:
        return "bad_envelope"
    try:
        key = None if seen.key is None else seen.key.decode()
    except UnicodeDecodeError:
        key = None
    try:
        return open_record(Record(seen.topic, key, seen.t, headers, seen.value))
    except Rejected as rejected:
        return str(rejected.args[0])


def _is_structured(headers: dict[str, bytes]) -> bool:
    """RULES 2: by the content type, or because there is no sign of the binary mode."""
    if "content-type" not in headers:
        return "ce_specversion" not in headers
    media = headers["content-type"].partition(b";")[0].strip(b" \t").lower()
    return media == b"application/cloudevents+json"


def _matters(header: str) -> bool:
    return header.startswith("ce_") or header == "content-type"


def money_balances(case: Case) -> Iterator[str]:
    for row in case.rows["escrows"]:
        parts = [row[f"{n}_minor"] for n in ("held", "refunded", "paid_out", "charged_back")]
        if row["captured_minor"] != sum(parts) or min(parts) < 0:
            yield f"order {row['order_id']}: {row['captured_minor']} is not the sum of {parts}"


def one_settlement(case: Case) -> Iterator[str]:
    captured: dict[str, int] = {}  # by the first capture; a second one is sent back
    for row in sorted(case.rows["facts"], key=lambda row: row["decision_no"], reverse=True):
        last = case.resolved.get((row["order_id"], row["decision_no"])) or row
        if row["type"] == "payment.captured" and last["outcome"] == "applied":
            captured[row["order_id"]] = last["decision_no"]
    by_order: dict[str, list[Row]] = defaultdict(list)
    for command in case.rows["commands"]:
        if command["purpose"] == "settlement":
            by_order[command["order_id"]].append(command)
    totals = {row["order_id"]: row["captured_minor"] for row in case.rows["escrows"]}
    for order_id, commands in by_order.items():
        lines = Counter((c["kind"], c["payment_id"]) for c in commands)
        if len({c["decision_no"] for c in commands}) > 1 or max(lines.values()) > 1:
            yield f"order {order_id} was settled twice"
        if sum(c["amount_minor"] for c in commands) > totals[order_id]:
            yield f"order {order_id}: more is settled than was captured"
        if commands[0]["decision_no"] < captured.get(order_id, 2**31):
            yield f"order {order_id} was settled before its capture"


def each_effect_once(case: Case) -> Iterator[str]:
    commands = {c["command_id"]: c for c in case.rows["commands"]}
    done = Counter(effect["command_id"] for effect in case.recorded.effects)
    lines: Counter[tuple[str, str, str]] = Counter()
    for effect in case.recorded.effects:
        command = commands.get(effect["command_id"])
        if command is None:
            yield f"effect of {effect['command_id']}, which nobody ordered"
            continue
        names = ("order_id", "kind", "party_id", "amount_minor", "currency")
        if any(effect[name] != command[name] for name in names):
            yield f"effect of {effect['command_id']} is not what was ordered"
        if command["purpose"] in {"settlement", "reissue"} and not effect["came_back"]:
            lines[command["order_id"], command["kind"], command["payment_id"]] += 1
    yield from (f"command {id_} took effect {n} times" for id_, n in done.items() if n > 1)
    yield from (f"line {line} was paid {n} times" for line, n in lines.items() if n > 1)
    settled = {id_ for id_, c in commands.items() if c["state"] in {"SETTLED", "RETURNED"}}
    yield from (f"command {id_} is settled without an effect" for id_ in settled - done.keys())
    yield from (
        f"effect of {id_} never became known"
        for id_ in done.keys() - settled - case.recorded.untold
    )


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


def nothing_lost(case: Case) -> Iterator[str]:
    """Each record has exactly one outcome, and what is stored is what was sent."""
    known = {(row["source"], row["id"]): spot for spot, row in case.stored.items()}
    wanted: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for spot, fact in case.places.items():
        if isinstance(fact, str):
            ending = "dead_letter"
        elif spot in case.stored:
            ending = str(case.stored[spot]["outcome"])
            if said(case.stored[spot]) != (fact.source, fact.id, fact.type, fact.t, fact.data):
                yield f"{spot}: another fact is stored than was sent"
        else:
            first = case.places.get(known.get((fact.source, fact.id), ("", 0, 0)))
            same = isinstance(first, Fact) and (first.type, first.data) == (fact.type, fact.data)
            ending = "duplicate" if same else "dead_letter"
            if ending == "dead_letter" and spot not in case.letters:
                yield f"{spot}: lost: neither stored nor a dead letter nor a duplicate"
        wanted[spot[:2]][ending] += 1
    yield from (
        f"{spot} is stored, but was never sent" for spot in case.stored.keys() - case.places
    )
    counted: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    names = ("applied", "refused", "parked", "duplicate", "dead_letter")
    for row in case.rows["batches"]:
        counted[row["topic"], row["partition"]].update({name: row[name] for name in names})
    for place in case.ends:
        if +counted[place] != +wanted[place]:
            yield f"{place}: the batches count {+counted[place]}, the topic {+wanted[place]}"


def said(row: Row) -> tuple[object, ...]:
    """What a stored fact says, its free text included, as the model holds it."""
    data = json.loads(row["payload"])
    if row["text"] is not None:
        data["rationale" if row["type"] == "ruling.issued" else "note"] = row["text"]
    return row["source"], row["id"], row["type"], row["t"], data


def letters_are_the_bad_ones(case: Case) -> Iterator[str]:
    known = {(row["source"], row["id"]): spot for spot, row in case.stored.items()}
    wanted: dict[Spot, str] = {}
    for spot, fact in case.places.items():
        if isinstance(fact, str):
            wanted[spot] = fact
        elif spot in case.stored:
            row = case.stored[spot]
            last = case.resolved.get((row["order_id"], row.get("decision_no", 0)))
            if last is not None and last["outcome"] == "dead_letter":
                wanted[spot] = "parked_too_long"
        else:
            first = case.places.get(known.get((fact.source, fact.id), ("", 0, 0)))
            if first is None:
                wanted[spot] = "parking_full"
            elif isinstance(first, Fact) and (first.type, first.data) != (fact.type, fact.data):
                wanted[spot] = "id_conflict"
    for spot in wanted.keys() | case.letters.keys():
        if wanted.get(spot) != case.letters.get(spot):
            yield f"{spot}: wanted {wanted.get(spot)}, there is {case.letters.get(spot)}"


def positions_move_on(case: Case) -> Iterator[str]:
    """Batches join without gap or overlap, under epochs that never fall."""
    at: dict[tuple[str, str, int], tuple[int, int]] = {}
    for row in case.rows["batches"]:
        place = row["stage"], row["topic"], row["partition"]
        offset, epoch = at.get(place, (0, 0))
        if row["first_offset"] != offset or row["next_offset"] <= offset or row["epoch"] < epoch:
            yield f"{place}: {row['first_offset']} follows {offset}, {row['epoch']} epoch {epoch}"
        at[place] = row["next_offset"], row["epoch"]
    for row in case.rows["positions"]:
        place = row["stage"], row["topic"], row["partition"]
        if row["next_offset"] != at.get(place, (0, 0))[0]:
            yield f"{place}: the position is {row['next_offset']}, the batches end at {at.get(place)}"


def chains_verify(case: Case) -> Iterator[str]:
    by_order: dict[str, list[tuple[int, Row, Row]]] = defaultdict(list)
    facts = {(row["order_id"], row["decision_no"]): row for row in case.rows["facts"]}
    for (order_id, no), row in facts.items():
        by_order[order_id].append((no, row, row))
    for row in case.rows["resolutions"]:
        fact = facts[row["order_id"], row["parked_no"]]
        by_order[row["order_id"]].append((row["decision_no"], fact, row))
    for escrow in case.rows["escrows"]:
        head = b""
        decisions = sorted(by_order[escrow["order_id"]], key=lambda decision: decision[0])
        for no, fact, ending in decisions:
            digest = sha256(f"{fact['type']}\n{fact['payload']}".encode()).digest()
            if fact["text_digest"] is not None:
                digest = sha256(digest + bytes(fact["text_digest"])).digest()
            said = (no, fact["source"], fact["id"], fact["t"], ending["outcome"])
            text = "".join(f"{each}\n" for each in (*said, ending["code"] or ""))
            head = sha256(head + digest + text.encode()).digest()
        numbers = [no for no, _, _ in decisions]
        if numbers != list(range(1, escrow["decision_no"] + 1)) or head != escrow["chain_head"]:
            yield f"order {escrow['order_id']}: the chain does not end at its head"


def all_is_told(case: Case) -> Iterator[str]:
    """Every row of the outbox lies in its topic, in the order of the rows, and nothing else does."""
    there: dict[Queue, list[str]] = defaultdict(list)
    told: dict[Queue, list[str]] = defaultdict(list)
    ours = {row["topic"] for row in case.rows["outbox"]}
    for (topic, _), records in case.recorded.topics.items():
        for seen in records if topic in ours else ():
            key = (seen.key or b"").decode(errors="replace")
            queue = there[queue_of(topic, key, seen.value or b"")]
            if (id_ := seen.header("ce_id")) not in queue:
                queue.append(id_)
    for row in case.rows["outbox"]:
        queue = told[queue_of(row["topic"], row["key"], row["payload"])]
        if row["sent_at"] is not None and row["sent_id"] not in queue:
            queue.append(row["sent_id"])
    for place in there.keys() | told.keys():
        if there[place] != told[place]:
            yield f"{place}: {told[place]} were to be told, {there[place]} were"


def queue_of(topic: str, key: str, value: str | bytes) -> Queue:
    """Within what there is an order. Dead letters of the door lock no order: they have that of the
    partition they come from, and none with those of other stages that bear the same key.
    """
    if topic != DEAD_LETTERS:
        return topic, key, ""
    letter = json.loads(value)
    return topic, key, f"{letter['topic']}[{letter['partition']}]"


def nothing_waits(case: Case) -> Iterator[str]:
    for row in case.rows["positions"]:
        end = case.ends.get((row["topic"], row["partition"]), 0)
        if row["next_offset"] != end:
            yield f"{row['topic']}[{row['partition']}]: {row['next_offset']} of {end}"
    unsent = sum(row["sent_at"] is None for row in case.rows["outbox"])
    if unsent:
        yield f"{unsent} rows of the outbox wait"


CHECKS: Final[dict[str, Callable[[Case], Iterator[str]]]] = {
    "I1": money_balances,
    "I2": one_settlement,
    "I3": each_effect_once,
    "I3 told": all_is_told,
    "I4": rows_equal_model,
    "I4 told": said_as_ruled,
    "I5": nothing_lost,
    "I6": letters_are_the_bad_ones,
    "I7": positions_move_on,
    "I9": chains_verify,
    "I10": deadlines_stand,
    "I11": nothing_waits,
}
