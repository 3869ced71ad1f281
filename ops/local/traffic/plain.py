"""The workload of benchmarks: every order is paid, sent, delivered and confirmed; nothing else.

Texts are formatted, not serialized: the generator must be much faster than what it measures.
"""

from collections.abc import Iterator
from typing import Final

from schemas.door import Record

PLAIN_TOPICS: Final = ("escrow.payments.v1", "escrow.shipments.v1", "escrow.refund-requests.v1")
PLAIN_FACTS: Final = 4  # an order
START_MS: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z

_Headers = tuple[tuple[str, bytes | None], ...]


def plain(
    orders: int, *, prefix: str = "plain", window: int = 1_000, start_ms: int = START_MS
) -> Iterator[Record]:
    """`4 * orders` records on three topics, one ms of record time a step.

    An order's next fact comes when `window` younger orders have had theirs. Amounts are those of
    `plain_amount`. Use another `prefix` for each run on the same topics.
    """
    for n in range(orders + 3 * window):
        t = start_ms + n
        if n < orders:
            yield _captured(prefix, n, t)
        if 0 <= n - window < orders:
            yield _dispatched(prefix, n - window, t)
        if 0 <= n - 2 * window < orders:
            yield _delivered(prefix, n - 2 * window, t)
        if 0 <= n - 3 * window < orders:
            yield _confirmed(prefix, n - 3 * window, t)


def plain_amount(n: int) -> int:
    """The amount of the n-th order, minor units of EUR; never a magic one."""
    return 500 + n * 7_919 % 9_001


def _captured(prefix: str, n: int, t: int) -> Record:
    value = (
        f'{{"order_id":"{prefix}-{n}","payment_id":"p-{prefix}-{n}","buyer_id":"b-{n % 10_007}",'
        f'"supplier_id":"s-{n % 499}","amount_minor":{plain_amount(n)},"currency":"EUR",'
        '"method":"visa","paid_through":"escrow","agreement_accepted":true}'
    )
    return _record(0, t, f"{prefix}-{n}", value, _headers(f"{prefix}-{n}-1", b"payment.captured"))


def _dispatched(prefix: str, n: int, t: int) -> Record:
    value = (
        f'{{"order_id":"{prefix}-{n}","shipment_id":"sh-{n}","carrier":"north-parcel",'
        f'"tracking_number":"JD {n}"}}'
    )
    return _record(
        1, t, f"{prefix}-{n}", value, _headers(f"{prefix}-{n}-2", b"shipment.dispatched")
    )


def _delivered(prefix: str, n: int, t: int) -> Record:
    value = f'{{"order_id":"{prefix}-{n}","shipment_id":"sh-{n}","packaging":"intact"}}'
    return _record(1, t, f"{prefix}-{n}", value, _headers(f"{prefix}-{n}-3", b"shipment.delivered"))


def _confirmed(prefix: str, n: int, t: int) -> Record:
    value = f'{{"order_id":"{prefix}-{n}","buyer_id":"b-{n % 10_007}"}}'
    return _record(2, t, f"{prefix}-{n}", value, _headers(f"{prefix}-{n}-4", b"delivery.confirmed"))


_CONTENT: Final = ("content-type", b"application/json")
_VERSION: Final = ("ce_specversion", b"1.0")
_SOURCE: Final = {
    b"payment.captured": ("ce_source", b"checkout"),
    b"shipment.dispatched": ("ce_source", b"carriers"),
    b"shipment.delivered": ("ce_source", b"carriers"),
    b"delivery.confirmed": ("ce_source", b"storefront"),
}


def _headers(identity: str, type_name: bytes) -> _Headers:
    return (
        _CONTENT,
        _VERSION,
        ("ce_id", identity.encode()),
        _SOURCE[type_name],
        ("ce_type", type_name),
    )


def _record(topic: int, t: int, key: str, value: str, headers: _Headers) -> Record:
    return Record(PLAIN_TOPICS[topic], 0, 0, t, key.encode(), value.encode(), headers)
