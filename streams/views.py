"""The views as a fold over records: the same records give the same views, in whatever order partitions are read.

No Faust, no clock, no network: time comes as an argument. A record at or below a position that was
read before changes nothing, so reading anything twice is harmless.
"""

import json
from hashlib import sha256
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from schemas import envelope, strict_json
from schemas.door import Fact, Record, Rejected, decode
from schemas.facts import INPUT_TOPICS
from schemas.order_events import ORDER_EVENTS, OrderChanged, rfc3339
from schemas.payments import PaymentCaptured
from schemas.supplier_reports import SupplierReported
from schemas.topics import VIEWS
from streams.flow import Flow
from streams.suppliers import Limits, Suppliers

READS: Final = (*INPUT_TOPICS, ORDER_EVENTS, VIEWS)  # our own, to know what stands there
TYPE: Final = "view.updated"
SOURCE: Final = "escrow/views"
HOUR_MS: Final = 3_600_000
FLAGGED_MAX: Final = 1_000
EVENT_TYPES: Final = ("order.changed", "fact.refused", "mediation.available", "alarm.raised")
Partition = tuple[str, int]


class Update(NamedTuple):
    """One record for `escrow.views.v1`; without data a tombstone: the view is gone."""

    key: str
    data: dict[str, Any] | None


class Views:
    """Everything that is derived. `fold` takes records in, `updates` gives what changed."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.positions: dict[Partition, int] = {}  # the offset that each partition needs next
        self.times: dict[Partition, int] = {}  # record time of the last record folded
        self.latest_t = -1  # the largest record time of a fact or event, ms UTC
        self.rejected = 0
        self._flow = Flow()
        self._suppliers = Suppliers(limits)
        self._flagged: dict[str, list[str]] = {}
        self._standing: dict[str, bytes] = {}  # key to digest of what the topic holds
        self._looked_at: int | None = None  # the hour of the last look at all suppliers

    def fold(self, record: Record, now: int) -> None:
        """Take one record in. Nothing in it can make this raise."""
        where = (record.topic, record.partition)
        if record.offset < self.positions.get(where, 0):
            return
        self.positions[where] = record.offset + 1
        self.times[where] = record.timestamp_ms
        if record.topic == VIEWS:
            self._fold_own(record)
            return
        self.latest_t = max(self.latest_t, record.timestamp_ms)
        if record.topic == ORDER_EVENTS:
            self._fold_event(record, now)
        else:
            self._fold_fact(record, now)

    def updates(self, now: int, true_until: int) -> list[Update]:
        """What must be written so that the topic holds these views, true up to `true_until` (ms UTC)."""
        is_full = self._looked_at != now // HOUR_MS
        touched = self._suppliers.touched | (set(self._suppliers.ids) if is_full else set())
        wanted = {f"supplier_risk/{id_}": self._risk(id_, now) for id_ in sorted(touched)}
        wanted["flow"] = self._flow.view(now)
        flagged = sorted(self._flagged.items())
        wanted["flagged_suppliers"] = {
            "count": len(flagged),
            "suppliers": [{"supplier_id": id_, "flags": f} for id_, f in flagged[:FLAGGED_MAX]],
        }
        if is_full:
            for key in self._standing.keys() - wanted.keys() - {"status"}:
                wanted[key] = None
        self._suppliers.touched.clear()
        self._looked_at = now // HOUR_MS
        updates = [self._update(key, body, true_until) for key, body in wanted.items()]
        status = {
            "suppliers": len(self._suppliers.ids),
            "records_rejected": self.rejected,
            "orders_forgotten": self._suppliers.forgotten,
        }
        last = Update("status", _dated("status", status, true_until))
        return [update for update in updates if update is not None] + [last]

    def _update(self, key: str, body: dict[str, Any] | None, true_until: int) -> Update | None:
        """None where the topic holds just this already."""
        if body is None:
            return None if self._standing.pop(key, None) is None else Update(key, None)
        data = _dated(key.partition("/")[0], body, true_until)
        digest = _digest(data)
        if self._standing.get(key) == digest:
            return None
        self._standing[key] = digest
        return Update(key, data)

    def _risk(self, supplier_id: str, now: int) -> dict[str, Any] | None:
        risk = self._suppliers.risk(supplier_id, now)
        if risk is not None and risk["flags"]:
            self._flagged[supplier_id] = risk["flags"]
        else:
            self._flagged.pop(supplier_id, None)
        return risk

    def _fold_fact(self, record: Record, now: int) -> None:
        fact = decode(record)
        if isinstance(fact, Rejected):
            self.rejected += 1
            self._flow.count("rejected", record.timestamp_ms, now)
            return
        self._flow.count(fact.type, fact.t, now)
        self._fold_supplier(fact, now)

    def _fold_supplier(self, fact: Fact, now: int) -> None:
        if isinstance(fact.data, PaymentCaptured):
            self._suppliers.captured(fact.data, (fact.source, fact.id), now)
        elif isinstance(fact.data, SupplierReported):
            self._suppliers.reported(fact.data, fact.t, now)

    def _fold_event(self, record: Record, now: int) -> None:
        """What the relay sends is binary mode; anything else on the topic is only counted."""
        try:
            sent = envelope.from_headers(envelope.last_headers(record.headers))
            kind = sent.type if sent.type in EVENT_TYPES else None
            changed = _order_changed(record) if kind == "order.changed" else None
        except (envelope.BadEnvelope, strict_json.NotJson, strict_json.DuplicateKey):
            kind, changed = None, None
        except ValidationError:
            kind, changed = None, None
        self.rejected += kind is None
        self._flow.count(kind or "rejected", record.timestamp_ms, now)
        if changed is not None:
            self._suppliers.changed(changed, record.timestamp_ms, now)

    def _fold_own(self, record: Record) -> None:
        """What an earlier run left behind, or that somebody wiped it; our own words come back too."""
        key = (record.key or b"").decode("utf-8", "replace")
        if record.value is None:
            if self._standing.pop(key, None) is not None:
                self._looked_at = None
            return
        try:
            data = json.loads(record.value)
        except ValueError:
            data = None
        self._standing.setdefault(key, _digest(data) if isinstance(data, dict) else b"")


def to_wire(update: Update, now: int) -> tuple[bytes, bytes | None, list[tuple[str, bytes]]]:
    """Key, value and headers of a CloudEvent in binary mode; a tombstone has no value."""
    value = None
    if update.data is not None:
        value = json.dumps(update.data, ensure_ascii=False, separators=(",", ":")).encode()
    id_ = sha256(f"{update.key}\n{now}\n".encode() + (value or b"")).hexdigest()[:32]
    headers = {"specversion": "1.0", "id": id_, "source": SOURCE, "type": TYPE}
    headers |= {"time": rfc3339(now), "subject": update.key}
    wire = [(f"ce_{name}", text.encode()) for name, text in headers.items()]
    return update.key.encode(), value, [*wire, ("content-type", b"application/json")]


def _order_changed(record: Record) -> OrderChanged:
    return OrderChanged.model_validate(strict_json.parse_object(record.value))


def _dated(view: str, body: dict[str, Any], true_until: int) -> dict[str, Any]:
    return {"view": view, "true_until": rfc3339(true_until), **body}


def _digest(data: dict[str, Any]) -> bytes:
    """Of everything but the time up to which it is true: a view is written again when it changed."""
    rest = {name: value for name, value in data.items() if name != "true_until"}
    return sha256(json.dumps(rest, sort_keys=True).encode()).digest()
