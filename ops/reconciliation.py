"""Three accounts of the same money must agree: the gateway's file, our commands, our ledger.

Pure: entries, commands and sums go in; what is matched, missing, extra or different comes out.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple, get_args

from escrow.state import Command
from ops.gateway_file import Entry

Kind = Literal["missing", "extra", "doubled", "different", "unposted"]
KINDS: Final[dict[Kind, str]] = {
    "missing": "a command with a final answer that the gateway's file does not know",
    "extra": "a payment in the file that nobody ordered",
    "doubled": "one command twice in the file",
    "different": "a command and its line do not say the same",
    "unposted": "an order's commands and its postings do not say the same",
}
assert set(KINDS) == set(get_args(Kind))
FINDINGS_KEPT: Final = 1_000  # of each kind
# what the file's state must be in our rows; a failed try may have been followed by another one
_STATE: Final = {
    "accepted": {"ACCEPTED"},
    "settled": {"SETTLED"},
    "failed": {"FAILED"},
    "returned": {"RETURNED"},
}
_ANSWERED: Final = ("SETTLED", "FAILED", "RETURNED")


class Ordered(NamedTuple):
    """A command with its order."""

    order_id: str
    command: Command


class Gap(NamedTuple):
    """An order whose commands and postings differ: what was ordered, what was posted."""

    order_id: str
    account: str
    currency: str
    ordered_minor: int
    posted_minor: int


class Difference(NamedTuple):
    """One thing that does not agree. `line`: in the file; `command_id`: None for a ledger's gap."""

    kind: Kind
    order_id: str
    command_id: str | None
    line: int | None
    text: str


class Total(NamedTuple):
    """One currency and kind of command: what each account says has gone out, in minor units."""

    kind: str
    currency: str
    file_minor: int  # settled, by the file
    commands_minor: int  # settled, by our rows
    returned_file_minor: int
    returned_commands_minor: int


class Reconciliation(NamedTuple):
    """The result. `open`: commands without a final answer, which no file need know."""

    lines: int
    commands: int  # in the period
    matched: int
    open: int
    found: dict[Kind, int]
    differences: list[Difference]  # the first ones of each kind
    totals: list[Total]

    @property
    def clean(self) -> bool:
        return not any(self.found.values())


def reconcile(
    entries: Iterable[Entry],
    commands: Iterable[Ordered],
    gaps: Iterable[Gap] = (),
    *,
    since: int | None = None,
    until: int | None = None,
) -> Reconciliation:
    """Hold the three against each other.

    The file need only know commands asked for from `since` to before `until` (ms UTC); what it
    says of others is compared all the same.
    """
    run = _Run()
    for entry in entries:
        run.read(entry)
    for order_id, command in commands:
        expected = (since is None or since <= command.asked_at) and (
            until is None or command.asked_at < until
        )
        run.compare(order_id, command, expected=expected)
    for entry in run.left.values():
        run.add("extra", entry.order_id, entry.command_id, entry.line, _extra(entry))
    for gap in gaps:
        text = (
            f"{gap.account}: commands say {gap.ordered_minor} {gap.currency},"
            f" postings {gap.posted_minor}"
        )
        run.add("unposted", gap.order_id, None, None, text)
    return run.result()


class _Run:
    def __init__(self) -> None:
        self.left: dict[str, Entry] = {}  # lines whose command has not come by
        self._lines = self._commands = self._matched = self._open = 0
        self._found: Counter[Kind] = Counter()
        self._differences: list[Difference] = []
        self._sums: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    def read(self, entry: Entry) -> None:
        self._lines += 1
        self._sums[entry.kind, entry.currency][f"file {entry.state}"] += entry.amount_minor
        first = self.left.setdefault(entry.command_id, entry)
        if first is not entry:
            text = f"{entry.state} {entry.amount_minor} {entry.currency}, also in line {first.line}"
            self.add("doubled", entry.order_id, entry.command_id, entry.line, text)

    def compare(self, order_id: str, command: Command, *, expected: bool) -> None:
        self._sums[command.kind, command.currency][command.state] += command.amount_minor
        self._commands += expected
        entry = self.left.pop(command.command_id, None)
        if entry is None:
            if expected and command.state in _ANSWERED:
                text = f"{command.kind} of {command.amount_minor} {command.currency}"
                text += f" is {command.state}, and not in the file"
                self.add("missing", order_id, command.command_id, None, text)
            elif expected:
                self._open += 1
            return
        wrong = _compared(order_id, command, entry)
        if wrong:
            self.add("different", order_id, command.command_id, entry.line, "; ".join(wrong))
        else:
            self._matched += 1

    def add(
        self, kind: Kind, order_id: str, command_id: str | None, line: int | None, text: str
    ) -> None:
        self._found[kind] += 1
        if self._found[kind] <= FINDINGS_KEPT:
            self._differences.append(Difference(kind, order_id, command_id, line, text))

    def result(self) -> Reconciliation:
        return Reconciliation(
            self._lines,
            self._commands,
            self._matched,
            self._open,
            {kind: self._found[kind] for kind in KINDS},
            self._differences,
            [
                Total(
                    kind,
                    currency,
                    sums["file settled"],
                    sums["SETTLED"],
                    sums["file returned"],
                    sums["RETURNED"],
                )
                for (kind, currency), sums in sorted(self._sums.items())
            ],
        )


def _compared(order_id: str, command: Command, entry: Entry) -> list[str]:
    """What differs, a sentence each; empty where the line and the command agree."""
    pairs = (
        ("order", entry.order_id, order_id),
        ("kind", entry.kind, command.kind),
        ("party", entry.party_id, command.party_id),
        ("amount", entry.amount_minor, command.amount_minor),
        ("currency", entry.currency, command.currency),
    )
    wrong = [
        f"{name} {theirs}, ordered was {ours}" for name, theirs, ours in pairs if theirs != ours
    ]
    tried_again = entry.state == "failed" and entry.attempt < command.attempt
    if command.state not in _STATE[entry.state] and not tried_again:
        wrong.append(f"{entry.state} at attempt {entry.attempt}, here it is {command.state}")
    return wrong


def _extra(entry: Entry) -> str:
    what = f"{entry.kind} of {entry.amount_minor} {entry.currency} to {entry.party_id}"
    return f"{what} is {entry.state} in the file, and was never ordered"


def result_json(result: Reconciliation) -> dict[str, Any]:
    """The result as JSON values."""
    return {
        **result._asdict(),
        "verdict": "matched" if result.clean else "differences",
        "differences": [difference._asdict() for difference in result.differences],
        "totals": [total._asdict() for total in result.totals],
    }
