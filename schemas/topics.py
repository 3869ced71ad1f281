"""The catalogue of topics: what each carries, keyed by what, kept how long, written by whom.

`escrow topics apply`, the ACLs and docs/topics.md are made from it.
"""

from typing import Final, Literal, NamedTuple

from schemas.commands import PAYOUT_COMMANDS, REFUND_COMMANDS
from schemas.facts import FACT_TYPES, STAGE_TOPICS
from schemas.order_events import DEAD_LETTERS, ORDER_EVENTS

DAY_MS: Final = 86_400_000
VIEWS: Final = "escrow.views.v1"
KEPT_MS: Final = 90 * DAY_MS  # facts no shorter than dead letters: a replay reads the original
WITNESS_KEPT_MS: Final = 365 * DAY_MS  # order events hold the heads of the audit chains
MESSAGE_BYTES_MAX: Final = 1_048_576
PARTITIONS: Final = 4
EARLY_MS_MAX: Final = 1_000 * 365 * DAY_MS  # so that no sum of times can leave 64 bits

TimestampType = Literal["LogAppendTime", "CreateTime"]


class Topic(NamedTuple):
    """One topic. All records are CloudEvents 1.0; what we send is in binary mode."""

    name: str
    key: str
    types: tuple[str, ...]
    written_by: str
    read_by: str
    purpose: str
    retention_ms: int = KEPT_MS
    partitions: int = PARTITIONS
    compacted: bool = False
    writers: tuple[str, ...] = ()  # the principals behind `written_by` and `read_by`
    readers: tuple[str, ...] = ()

    def config(self, timestamp_type: TimestampType) -> dict[str, str]:
        """The broker's settings for it.

        `compression.type` is not `producer`: the broker then unpacks and measures every batch of
        another codec before a consumer meets it, and lz4 cannot grow beyond 255 times its size.
        Where a record's time is its producer's (local, tests), it may lie centuries away: such
        records are neither refused for being early nor deleted for being old.
        """
        settings = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": "-1" if self.compacted else str(self.retention_ms),
            "max.message.bytes": str(MESSAGE_BYTES_MAX),
            "compression.type": "lz4",
            "message.timestamp.type": timestamp_type,
        }
        if timestamp_type == "CreateTime":
            settings |= {"retention.ms": "-1", "message.timestamp.after.max.ms": str(EARLY_MS_MAX)}
        return settings


_WRITERS: Final = {
    "payments": ("checkout, card network", "Money that came in, and chargebacks.", "checkout"),
    "shipments": ("carriers", "Where the parcels are.", "carriers"),
    "refund_requests": (
        "the marketplace, for buyers and suppliers",
        "All that buyer and supplier say about an order, in the order in which they say it.",
        "marketplace",
    ),
    "mediation_rulings": ("mediators", "What the mediator decided.", "mediators"),
    "gateway_results": (
        "payment gateways",
        "What became of payout and refund commands.",
        "gateways",
    ),
    "operator_actions": ("operators", "What a person asks the pipeline to do.", "operator"),
    "deadlines": ("the ticker, nobody else", "Deadlines that have passed.", "ticker"),
    "supplier_reports": (
        "the marketplace, for buyers",
        "Suppliers who asked for payment outside escrow.",
        "marketplace",
    ),
}
# Who looks at what waits on an input topic, besides its stage.
_WATCHERS: Final = ("views", "metrics", "console", "operator")


def _inputs() -> tuple[Topic, ...]:
    return tuple(
        Topic(
            name=topic,
            key="supplier_id" if stage == "supplier_reports" else "order_id",
            types=tuple(t.name for t in FACT_TYPES.values() if t.topic == topic),
            written_by=_WRITERS[stage][0],
            read_by=f"stage {stage}",
            purpose=_WRITERS[stage][1],
            # an operator sends dead letters again; a tick comes again by itself
            writers=(_WRITERS[stage][2], *(() if stage == "deadlines" else ("operator",))),
            readers=(stage, *_WATCHERS),
        )
        for stage, topic in STAGE_TOPICS.items()
    )


TOPICS: Final[tuple[Topic, ...]] = (
    *_inputs(),
    Topic(
        REFUND_COMMANDS,
        "order_id",
        ("refund.issue", "command.status_requested"),
        "the relay, nobody else",
        "payment gateways",
        "Money to be sent back to a buyer.",
        writers=("relay",),
        readers=("gateways", "relay"),  # the relay after a restore: what was told already
    ),
    Topic(
        PAYOUT_COMMANDS,
        "order_id",
        ("payout.release", "command.status_requested"),
        "the relay, nobody else",
        "payment gateways",
        "Money to be paid out to a supplier.",
        writers=("relay",),
        readers=("gateways", "relay"),  # the relay after a restore: what was told already
    ),
    Topic(
        ORDER_EVENTS,
        "order_id",
        ("order.changed", "fact.refused", "mediation.available", "alarm.raised"),
        "the relay, nobody else",
        "the marketplace, operators",
        "What became of orders and facts; a witness for the audit.",
        retention_ms=WITNESS_KEPT_MS,
        writers=("relay",),
        readers=("marketplace", "views", "auditor", "operator"),
    ),
    Topic(
        DEAD_LETTERS,
        "the record's own, or its place",
        ("fact.dead_lettered",),
        "the relay, nobody else",
        "operators",
        "Records that an operator must look at, redacted.",
        writers=("relay",),
        readers=("operator",),
    ),
    Topic(
        VIEWS,
        "name of the view",
        ("view.updated",),
        "the views",
        "the console",
        "Derived views; they can be rebuilt from the other topics.",
        partitions=1,
        compacted=True,
        writers=("views",),
        readers=("views", "console", "operator"),
    ),
)
TOPIC_NAMES: Final = tuple(topic.name for topic in TOPICS)
