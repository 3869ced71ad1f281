"""`python -m bench.secure`: what TLS, passwords, rights and roles cost. The same records, in turns, on two lines.

Both lines stand ready all the time; only one has work at a time, and they take turns in who begins.
Counted is the whole way: from the first record sent to the last decision's command sent.
"""

import argparse
import statistics
import sys
import time
from contextlib import ExitStack
from typing import Final

from ops.local.pipeline import Pipeline
from ops.local.traffic import plain, publish
from ops.local.traffic.plain import PLAIN_FACTS

KINDS: Final = ("plain", "secure")


def main() -> int:
    """Print facts a second of each round, and the loss in the middle of all rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with ExitStack() as lines:
        both = {
            kind: lines.enter_context(Pipeline(gateway=False, secure=kind == "secure"))
            for kind in KINDS
        }
        for pipeline in both.values():
            _facts_a_second(pipeline, "warm", arguments.orders // 5)
        costs = []
        for number in range(arguments.rounds):
            rates = {}
            for kind in KINDS if number % 2 else reversed(KINDS):
                rates[kind] = _facts_a_second(both[kind], f"r{number}", arguments.orders)
            costs.append(1 - rates["secure"] / rates["plain"])
            shown = "  ".join(f"{kind} {rates[kind]:,.0f}/s" for kind in KINDS)
            sys.stdout.write(f"{shown}  cost {costs[-1]:+.1%}\n")
            sys.stdout.flush()
        sys.stdout.write(f"cost in the middle of {len(costs)}: {statistics.median(costs):+.1%}\n")
    return 0


def _facts_a_second(pipeline: Pipeline, prefix: str, orders: int) -> float:
    began = time.monotonic()
    sent = publish(plain(orders, prefix=prefix), pipeline.settings)
    assert sent == orders * PLAIN_FACTS
    pipeline.wait_idle(300)
    return sent / (time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
