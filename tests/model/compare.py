"""Product and model over the same files: `python -m tests.model.compare --seeds A:B [--program escrow]`.

Without `--program` the product runs in this process, which is much faster. The first difference is
shown with its seed, shrunk to a few lines. Exit code 1 if there was any.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import TypeAlias

from ops import record_lines, simulate
from tests.model.broken_lines import broken_file
from tests.model.dry_run import NotARecord, run
from tests.model.generator import generate
from tests.model.near_texts import near_texts_file
from tests.model.rules import World

Rows: TypeAlias = list[dict[str, object]]
SHRINK_LINES_MAX = 60_000  # lines decided while shrinking: a minute at most
Said: TypeAlias = tuple[int, Rows, Rows]  # exit code, outcomes, orders
Runner: TypeAlias = Callable[[bytes], Said]


def model(content: bytes) -> Said:
    try:
        result = run(content)
    except NotARecord as bad:
        return 2, [{"bad line": bad.args[0]}], []
    return 0, result.outcomes, result.orders


def product(content: bytes) -> Said:
    """The product in this process, through its files."""
    with tempfile.TemporaryDirectory() as folder:
        facts, outcomes, orders = paths(folder, content)
        try:
            simulate.run(facts, outcomes, orders)
        except record_lines.NotARecord as bad:
            assert not outcomes.exists()
            assert not orders.exists()
            return 2, [{"bad line": number_in(str(bad))}], []
        return 0, read(outcomes), read(orders)


def program(command: str) -> Runner:
    """The product as others run it: a process that reads and writes files."""

    def runner(content: bytes) -> Said:
        with tempfile.TemporaryDirectory() as folder:
            facts, outcomes, orders = paths(folder, content)
            options = ["--outcomes", str(outcomes), "--orders", str(orders)]
            arguments = [*command.split(), "simulate", str(facts), *options]
            done = subprocess.run(arguments, check=False, capture_output=True)
            if done.returncode not in {0, 2}:
                raise RuntimeError(done.stderr.decode())
            if done.returncode == 2:
                assert not outcomes.exists()
                assert not orders.exists()
                return 2, [{"bad line": number_in(done.stderr.decode())}], []
            return done.returncode, read(outcomes), read(orders)

    return runner


def number_in(complaint: str) -> int | None:
    """The number of the line that a complaint names."""
    match = re.search(r"line (\d+)", complaint)
    return int(match.group(1)) if match else None


def paths(folder: str, content: bytes) -> tuple[Path, Path, Path]:
    facts = Path(folder, "facts.jsonl")
    facts.write_bytes(content)
    return facts, Path(folder, "outcomes.jsonl"), Path(folder, "orders.jsonl")


def read(path: Path) -> Rows:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]


def difference(content: bytes, runner: Runner) -> str | None:
    """What the two say differently of one file, first difference first; None if nothing."""
    mine, theirs = model(content), runner(content)
    if mine[0] != theirs[0]:
        return f"exit code: model {mine[0]}, product {theirs[0]}"
    for name, model_rows, product_rows in zip(
        ("outcomes", "orders"), mine[1:], theirs[1:], strict=True
    ):
        for ours, other in zip_longest(model_rows, product_rows):
            if not same(ours, other):
                return f"{name}\n  model   {json.dumps(ours)}\n  product {json.dumps(other)}"
    return None


def same(ours: object, other: object) -> bool:
    """Equal, and of the same JSON types: 1 is neither 1.0 nor true."""
    return json.dumps(ours, sort_keys=True) == json.dumps(other, sort_keys=True)


def shrink(content: bytes, runner: Runner) -> bytes:
    """Few lines that still tell the two apart: none can be left out, if the tries suffice."""
    lines = [line for line in content.split(b"\n") if line.strip()]
    size = max(len(lines) // 2, 1)
    decided = 0
    while True:
        at = 0
        while at < len(lines):
            decided += len(lines)
            if decided > SHRINK_LINES_MAX:
                return b"\n".join(lines)
            fewer = lines[:at] + lines[at + size :]
            if difference(b"\n".join(fewer), runner) is not None:
                lines = fewer
            else:
                at += size
        if size == 1:
            return b"\n".join(lines)
        size = max(size // 2, 1)


def generated(seed: int) -> tuple[bytes, World]:
    """The file of a seed, as compared everywhere: small and large, friendly and hostile ones."""
    hostility = (0.0, 0.1, 0.4)[seed % 3]
    return generate(seed, 1 + seed % 7, 25, hostility)


def file_of(seed: int) -> bytes:
    return generated(seed)[0]


def world_of(seed: int) -> World:
    return generated(seed)[1]


FILES: dict[str, Callable[[int], bytes]] = {
    "stories": file_of,
    "broken-lines": broken_file,
    "near-texts": near_texts_file,
}


def report(seed: int, runner: Runner, make: Callable[[int], bytes] = file_of) -> str | None:
    """What the two say differently of the file of a seed, with a small case; None if nothing."""
    content = make(seed)
    found = difference(content, runner)
    if found is None:
        return None
    small = shrink(content, runner)
    shown = "\n".join(repr(line[:600]) for line in small.split(b"\n")[-8:])
    return f"seed {seed}\n{shown}\n{difference(small, runner)}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model.compare")
    parser.add_argument("--seeds", required=True, help="A:B, B not included")
    parser.add_argument("--program", help="run this program instead, for example: escrow")
    parser.add_argument("--files", choices=FILES, default="stories")
    parser.add_argument("--differences-max", type=int, default=1, help="stop after so many")
    options = parser.parse_args(arguments)
    runner = program(options.program) if options.program else product
    first, last = (int(part) for part in options.seeds.split(":"))
    differences = 0
    for seed in range(first, last):
        found = report(seed, runner, FILES[options.files])
        if found is not None:
            differences += 1
            sys.stdout.write(f"{found}\n\n")
        if differences >= options.differences_max:
            break
    sys.stdout.write(f"seeds {first}:{last}: {differences} with a difference\n")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
