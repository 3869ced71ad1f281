"""What product and model would send for the same files: commands in full, events as far as RULES name them.

`python -m tests.model.compare_telling --seeds A:B`; the order within one fact's records is not compared.
"""

import argparse
import io
import json
import sys
from typing import TypeAlias

from escrow.arrival import Decided
from escrow.replay import Replay
from escrow.telling import tell
from ops.record_lines import read_records
from schemas.door import Rejected, decode
from tests.model.compare import file_of
from tests.model.dry_run import run
from tests.model.telling import Told, comparable

Sent: TypeAlias = list[list[Told]]  # of each fact past the door


def model_told(content: bytes) -> Sent:
    return run(content).world.told


def product_told(content: bytes) -> Sent:
    replay, sent = Replay(), []
    for record in read_records(io.BytesIO(content)):
        fact = decode(record)
        if isinstance(fact, Rejected):
            continue
        steps = replay.take(fact)
        decided = [step for step in steps if isinstance(step, Decided)]
        out = [out for step in decided for out in tell(step)]
        sent.append([Told(each.topic, each.type, json.loads(each.payload)) for each in out])
    return sent


def difference(content: bytes) -> str | None:
    """The first fact for which the two would send something else."""
    mine, theirs = model_told(content), product_told(content)
    if len(mine) != len(theirs):
        return f"facts past the door: model {len(mine)}, product {len(theirs)}"
    for number, (model, product) in enumerate(zip(mine, theirs, strict=True), 1):
        ours, other = sorted(map(comparable, model)), sorted(map(comparable, product))
        if ours != other:
            only = [f"  model   {each}" for each in ours if each not in other]
            only += [f"  product {each}" for each in other if each not in ours]
            return f"fact {number} past the door\n" + ("\n".join(only) or "  how often differs")
    return None


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model.compare_telling")
    parser.add_argument("--seeds", required=True, help="A:B, B not included")
    first, last = (int(part) for part in parser.parse_args(arguments).seeds.split(":"))
    for seed in range(first, last):
        found = difference(file_of(seed))
        if found is not None:
            sys.stdout.write(f"seed {seed}: {found}\n")
            return 1
    sys.stdout.write(f"seeds {first}:{last}: no difference\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
