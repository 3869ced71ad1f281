"""I5 to I7, I9, I11: each record has one outcome, in its place, and none waits."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from hashlib import sha256

from tests.chaos.case import Case
from tests.chaos.recorded import Row, Spot
from tests.model.door import Fact


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


def nothing_waits(case: Case) -> Iterator[str]:
    for row in case.rows["positions"]:
        end = case.ends.get((row["topic"], row["partition"]), 0)
        if row["next_offset"] != end:
            yield f"{row['topic']}[{row['partition']}]: {row['next_offset']} of {end}"
    unsent = sum(row["sent_at"] is None for row in case.rows["outbox"])
    if unsent:
        yield f"{unsent} rows of the outbox wait"
