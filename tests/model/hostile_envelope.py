"""Hands that spoil, or nearly spoil, the envelope: attributes, headers, topic, key and timestamp."""

import random
from collections.abc import Callable

from tests.model.hostile_data import TIMES
from tests.model.spelling import Draft
from tests.model.strict_json import Json, Number

DraftHand = Callable[[random.Random, Draft], None]

NAMES = ["", "n" * 256, "n" * 257, "é\U0001f600" * 128, "a\u0000b", "a\u009f", " ", "/x?y#z"]


def odd_time(rng: random.Random, draft: Draft) -> None:
    more: list[Json] = [None, 5, ["2026-01-31T10:00:00Z"]] if draft.structured else []
    draft.attributes["time"] = rng.choice(TIMES + more)


def odd_attribute(rng: random.Random, draft: Draft) -> None:
    name = rng.choice(["specversion", "id", "source", "type"])
    values: list[Json] = [*NAMES, "1.1", "1.0 ", "0.3", "1"]
    if draft.structured:
        values += [None, 1, Number("1.0"), True, {}, ["1.0"]]
    draft.attributes[name] = rng.choice(values)


def missing_attribute(rng: random.Random, draft: Draft) -> None:
    del draft.attributes[rng.choice(["specversion", "id", "source", "type"])]


def odd_type(rng: random.Random, draft: Draft) -> None:
    types = ["payment.Captured", "payment.captured ", "refund.issue", "command.status_requested"]
    draft.attributes["type"] = rng.choice([*types, "order.changed", "x\u0000", "x" * 300])


def other_type(rng: random.Random, draft: Draft) -> None:
    draft.attributes["type"] = rng.choice(["shipment.lost", "ruling.issued", "gateway.settled"])


def other_topic(rng: random.Random, draft: Draft) -> None:
    topics = ["escrow.payments.v1", "escrow.shipments.v1", "escrow.order-events.v1", "foo", ""]
    draft.topic = rng.choice(topics)


def odd_subject(rng: random.Random, draft: Draft) -> None:
    about = draft.data.get("order_id") or draft.data.get("supplier_id")
    values: list[Json] = [about, about, "someone", "", f"{about} "]
    if draft.structured:
        values += [None, 5, [about]]
    draft.attributes["subject"] = rng.choice(values)


def odd_key(rng: random.Random, draft: Draft) -> None:
    draft.key = rng.choice([None, "", "someone", f"{draft.key} ", f"{draft.key}".swapcase()])


def odd_extension(rng: random.Random, draft: Draft) -> None:
    values: list[Json] = ["4111111111111111", "x\u0000y"]
    if draft.structured:
        values += [None, True, {"deep": [Number("1e400")]}, Number("9" * 400), ["a", {}]]
    draft.attributes[rng.choice(["traceparent", "Foo-Bar", "", "dataschema"])] = rng.choice(values)


def odd_content_type(rng: random.Random, draft: Draft) -> None:
    values = ["text/plain", "application/cloudevents-batch+json", "", "application/json+x", "json"]
    values += ["application/cloudevents+json", "application/json", "application/cloudevents", ";"]
    draft.headers[rng.choice(["content-type", "content-type", "Content-Type"])] = rng.choice(values)


def dropped_header(rng: random.Random, draft: Draft) -> None:
    draft.dropped_headers |= {rng.choice(["content-type", "ce_specversion", "ce_id", "ce_type"])}


def stray_header(rng: random.Random, draft: Draft) -> None:
    draft.headers[rng.choice(["ce_specversion", "CE_ID", "ce_", "ce_time"])] = rng.choice(
        ["1.0", ""]
    )


def odd_datacontenttype(rng: random.Random, draft: Draft) -> None:
    good = ["application/json", "application/json; charset=utf-8", "Application/JSON", None]
    draft.members["datacontenttype"] = rng.choice([*good, "text/plain", "application/xml", 5, ""])


def odd_data_base64(rng: random.Random, draft: Draft) -> None:
    draft.members["data_base64"] = rng.choice([None, "eyJ9", "", 5])


def odd_data(rng: random.Random, draft: Draft) -> None:
    if rng.random() < 0.3:
        draft.dropped_members |= {"data"}
    else:
        draft.members["data"] = rng.choice([None, [], "{}", 5, {}, True])


def negative_t(rng: random.Random, draft: Draft) -> None:
    draft.t = rng.choice([-1, -(2**63 - 1), -5, 0])


DRAFT_HANDS: list[DraftHand] = [
    odd_time,
    odd_attribute,
    missing_attribute,
    odd_type,
    other_type,
    other_topic,
    odd_subject,
    odd_key,
    odd_extension,
    odd_content_type,
    dropped_header,
    stray_header,
    odd_datacontenttype,
    odd_data_base64,
    odd_data,
    negative_t,
]
