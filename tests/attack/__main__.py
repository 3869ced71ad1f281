"""`python -m tests.attack`: exit code 0 only if nothing was accepted and every reason was right.

`--line`: the facts go through a real Kafka to real stages, too, which ask for every signature.
"""

import argparse
import sys
from secrets import randbelow

from tests.attack.siege import Siege, on_commands, on_facts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="attacks in all")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--line", action="store_true", help="on the real line, too")
    given = parser.parse_args()
    seed = randbelow(10**9) if given.seed is None else given.seed
    _say(f"seed {seed}")
    on_both: tuple[Siege, ...] = (
        on_facts(seed, given.count * 4 // 5),
        on_commands(seed, given.count // 5),
    )
    for what, siege in zip(("facts", "commands"), on_both, strict=True):
        _tell(what, siege)
    if given.line:
        from tests.attack.line import on_the_line

        on_both += (on_the_line(seed, given.count * 4 // 5),)
        _tell("on the real line", on_both[-1])
    wrong = [text for siege in on_both for text in siege.wrong]
    for text in wrong[:20]:
        sys.stderr.write(f"{text}\n")
    _say(f"{sum(s.attacks for s in on_both):,} attacks, {len(wrong)} ended wrongly")
    return 1 if wrong else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _tell(what: str, siege: Siege) -> None:
    _say(f"{what}: {siege.attacks:,} attacks among {siege.honest:,} honest ones")
    for (kind, reason), number in sorted(siege.reasons.items()):
        _say(f"  {kind:<34} {reason:<20} {number:>6,}")


if __name__ == "__main__":
    sys.exit(main())
