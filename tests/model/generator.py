"""Random files of facts in the form of RULES 5, the same for the same seed on every machine.

The model runs alongside, so that what is generated refers to what has been decided: open requests,
existing commands, exact limits of time. `generate` is the way in.
"""

import random
from dataclasses import replace

from tests.model import policy
from tests.model.door import Record
from tests.model.dry_run import read_records, run_record
from tests.model.hostile_bytes import BYTE_HANDS
from tests.model.hostile_data import DATA_HANDS
from tests.model.hostile_envelope import DRAFT_HANDS
from tests.model.plans import Plan, make_plan
from tests.model.rules import World
from tests.model.scenes import SCENES, Step
from tests.model.shapes import TOPIC_OF
from tests.model.spelling import Draft, headers_and_content, write_line
from tests.model.stories import Teller
from tests.model.strict_json import Json, compact

MINUTE = 60_000
STEPS = [0, 1, MINUTE, 60 * MINUTE, policy.DAY, 5 * policy.DAY, 10 * policy.DAY]
CROWD_EVERY = 40  # each 40th seed has an order with more parked facts than allowed


class File:
    """One file in the making: its lines, and the world after them."""

    def __init__(self, seed: int, orders: int, hostility: float) -> None:
        self.rng = random.Random(seed)
        self.hostility = hostility
        self.world = World()
        self.lines: list[bytes] = []
        self.count = 0
        self.now = self.rng.choice([0, 1_700_000_000_000])
        self.pace = self.rng.choice([STEPS[:4], STEPS, STEPS, [MINUTE]])
        self.plans = [make_plan(self.rng, number) for number in range(orders)]
        self.scenes: list[tuple[Plan, list[Step]]] = []
        self.drafts: list[Draft] = []  # written before: to be sent again
        self.names = 0

    def add(self, line: bytes) -> None:
        self.lines.append(line)
        for record in read_records(line):  # none, if the line is blank
            self.count += 1
            self.run(record)

    def run(self, record: Record) -> None:
        run_record(self.world, self.count, record)

    def step(self) -> None:
        """One more line."""
        rng = self.rng
        self.now += rng.choice(self.pace)
        draw = rng.random()
        if draw < 0.05 and self.drafts:
            draft = self.again(rng.choice(self.drafts[-30:]))
        elif draw < 0.08:
            draft = self.report()
        elif draw < 0.35:
            draft = self.scene()
        else:
            plan = rng.choice(self.plans)
            if any(plan is busy for busy, _ in self.scenes) and rng.random() < 0.7:
                plan = rng.choice(self.plans)
            draft = self.story(plan)
        if draft.attributes.get("id") is not None:
            self.drafts.append(draft)
        if rng.random() < self.hostility:
            self.add(self.spoiled(draft))
        else:
            headers, content = headers_and_content(rng, draft)
            self.add(write_line(rng, draft, headers, content))
        if rng.random() < 0.01:
            self.add(rng.choice([b"", b"  ", b"\t\r"]))

    def fresh_identity(self, kind: str) -> dict[str, Json]:
        self.names += 1
        source = self.rng.choice(["/checkout", "/carrier", "urn:x:é"])
        return {
            "specversion": "1.0",
            "id": f"{self.names}",
            "source": source,
            "type": kind,
        }

    def story(self, plan: Plan) -> Draft:
        rng = self.rng
        teller = Teller(rng, self.world, plan)
        kind = teller.next_type()
        t = self.now
        boundary = teller.boundary(kind)
        if boundary is not None and rng.random() < 0.3:
            t = boundary
            self.now = max(self.now, t)
        elif rng.random() < 0.05:
            t = max(0, t - rng.choice(STEPS))
        return self.draft(plan.order_id, kind, t, teller.data(kind))

    def scene(self) -> Draft:
        """The next step of a scene; several go on at a time, and other facts come between."""
        rng = self.rng
        if len(self.scenes) < 2:
            plan = make_plan(rng, len(self.plans))
            self.plans.append(plan)
            self.scenes.append((plan, rng.choice(SCENES)(rng, plan)))
        at = rng.randrange(len(self.scenes))
        plan, steps = self.scenes[at]
        step = steps.pop(0)
        if not steps:
            del self.scenes[at]
        self.now += step.wait
        data = step.data | {"order_id": plan.order_id}
        return self.draft(plan.order_id, step.type, self.now, data)

    def draft(self, key: str, kind: str, t: int, data: dict[str, Json]) -> Draft:
        rng = self.rng
        attributes = self.fresh_identity(kind)
        if rng.random() < 0.2:
            attributes["subject"] = key
        if rng.random() < 0.2:
            attributes["time"] = "2026-01-31T10:00:00.5+01:00"
        if rng.random() < 0.1:
            attributes["traceparent"] = "00-1"
        return Draft(TOPIC_OF[kind], key, t, attributes, data, structured=rng.random() < 0.5)

    def report(self) -> Draft:
        rng = self.rng
        supplier = rng.choice(["s1", "s2"])
        data: dict[str, Json] = {
            "report_id": "t1",
            "supplier_id": supplier,
            "buyer_id": "b1",
            "product_id": "x",
            "asked_for": rng.choice(["wire transfer", "cash\u2028"]),
        }
        if rng.random() < 0.5:
            data["note"] = rng.choice([None, "by chat"])
        return self.draft(supplier, "supplier.reported", self.now, data)

    def again(self, old: Draft) -> Draft:
        """The same identity: a duplicate in some other spelling, or a conflict."""
        rng = self.rng
        draft = replace(
            old,
            t=rng.choice([old.t, self.now]),
            attributes=dict(old.attributes),
            data=dict(old.data),
            structured=rng.random() < 0.5,
        )
        if rng.random() < 0.4:
            draft.data = {n: v for n, v in old.data.items() if v is not None}
        if rng.random() < 0.4:
            plan = rng.choice(self.plans)
            other = self.story(plan)
            choice = rng.random()
            if choice < 0.6:  # another fact under a used name, often on another topic
                other.attributes |= {n: old.attributes[n] for n in ("id", "source")}
                return other
            for name in ("note", "amount_minor", "asked_for", "size_bytes"):
                if name in draft.data:
                    draft.data[name] = "another" if name in {"note", "asked_for"} else 7
        return draft

    def spoiled(self, draft: Draft) -> bytes:
        rng = self.rng
        draft = replace(draft, attributes=dict(draft.attributes), data=dict(draft.data))
        hand = rng.choice(["data", "data", "draft", "draft", "bytes"])
        hands = 2 if rng.random() < 0.15 else 1
        for _ in range(hands):
            if hand == "data" and draft.data:
                rng.choice(DATA_HANDS)(rng, draft.data)
            elif hand == "draft" and len(draft.attributes) > 3:
                rng.choice(DRAFT_HANDS)(rng, draft)
        headers, content = headers_and_content(rng, draft)
        if hand == "bytes":
            raw = rng.choice(BYTE_HANDS)(rng, compact(content).encode())
            return write_line(rng, draft, headers, raw)
        return write_line(rng, draft, headers, content)

    def crowd(self) -> None:
        """More facts wait for one payment than may wait; some expire and make room; then it comes."""
        plan = make_plan(self.rng, 10_000)
        for number in range(policy.PARKED_PER_ORDER_MAX + 20):
            data: dict[str, Json] = {"order_id": plan.order_id, "shipment_id": f"h{number % 7}"}
            t = self.now if number % 100 else self.now - policy.PARK_LIMIT
            self.plain(self.draft(plan.order_id, "shipment.lost", max(t, 0), data))
        for _ in range(30):
            self.now += self.rng.choice([0, MINUTE])
            self.plain(self.story(plan))

    def plain(self, draft: Draft) -> None:
        headers, content = headers_and_content(self.rng, draft)
        self.drafts.append(draft)
        self.add(write_line(self.rng, draft, headers, content))


def generate(seed: int, orders: int, facts_per_order: int, hostility: float) -> tuple[bytes, World]:
    """A file of about `orders * facts_per_order` lines, and the model's world after it.

    `hostility` is the share of records that a hostile hand has touched (0.0 to 1.0).
    """
    file = File(seed, orders, hostility)
    for _ in range(orders * facts_per_order):
        file.step()
    if seed % CROWD_EVERY == 0:
        file.crowd()
    return b"\n".join(file.lines) + file.rng.choice([b"", b"\n", b"\n\n"]), file.world
