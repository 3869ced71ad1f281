"""Traffic made up by a seed: whole orders for trials and demos, plain ones for benchmarks.

Every record is a `schemas.door.Record` in CloudEvents' binary mode; partition and offset are 0.
"""

from ops.local.traffic.garbage import planted_code
from ops.local.traffic.plain import PLAIN_FACTS, PLAIN_TOPICS, START_MS, plain, plain_amount
from ops.local.traffic.publish import headers_of, paced, publish
from ops.local.traffic.stream import Knobs, stories

__all__ = [
    "PLAIN_FACTS",
    "PLAIN_TOPICS",
    "START_MS",
    "Knobs",
    "headers_of",
    "paced",
    "plain",
    "plain_amount",
    "planted_code",
    "publish",
    "stories",
]
