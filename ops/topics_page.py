"""docs/topics.md is made from the catalogue, so that the page cannot say anything else."""

from collections.abc import Iterator

from schemas.topics import DAY_MS, MESSAGE_BYTES_MAX, TOPICS, Topic


def render_topics_page() -> str:
    """The whole page as Markdown, ending in one newline."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Topics"
    yield ""
    yield "<!-- made from schemas/topics.py; a test compares -->"
    yield ""
    yield from (
        "Every record is a CloudEvent 1.0. Facts are taken in both modes, binary and structured; what the",
        "pipeline sends is in binary mode. The key is the partitioning key, and for facts it must equal the id",
        "inside: all that is said about one order keeps its order on a topic. Between topics there is none.",
        "`escrow topics plan` shows how a cluster differs from this page, `escrow topics apply` creates what is",
        "missing. Partitions are never added by themselves: an order's records would change their place.",
    )
    yield ""
    yield "| topic | key | partitions | kept | written by | read by |"
    yield "|---|---|---|---|---|---|"
    for topic in TOPICS:
        yield (
            f"| `{topic.name}` | {topic.key} | {topic.partitions} | {_kept(topic)} "
            f"| {topic.written_by} | {topic.read_by} |"
        )
    yield ""
    yield "## What each carries"
    for topic in TOPICS:
        yield ""
        yield f"### `{topic.name}`"
        yield ""
        yield topic.purpose
        yield ""
        yield from (f"- `{name}`" for name in topic.types)
    yield ""
    yield "## Broker settings"
    yield ""
    yield from (
        f"- `max.message.bytes` is {MESSAGE_BYTES_MAX:,}: a batch, compressed. A value over 65,536 bytes is a dead",
        "  letter `too_large` in any case.",
        "- `compression.type` is `lz4`, not `producer`: the broker unpacks and measures a batch of any other codec",
        "  before a consumer meets it, and lz4 cannot grow beyond 255 times its size.",
        "- `message.timestamp.type` is `LogAppendTime`: the record's time is the only clock that the rules know, and",
        "  no producer can forge the broker's. The profile `local` uses `CreateTime`, so that ten days can pass in a",
        "  second; there `retention.ms` is -1 and `message.timestamp.after.max.ms` a thousand years, since the",
        "  record's time says nothing about its age.",
        "- Replication is the cluster's default. For money: `default.replication.factor=3`, `min.insync.replicas=2`,",
        "  `unclean.leader.election.enable=false`; every producer of ours waits for all in-sync replicas.",
    )


def _kept(topic: Topic) -> str:
    if topic.compacted:
        return "the last of each key"
    return f"{topic.retention_ms // DAY_MS} days"
