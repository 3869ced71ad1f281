"""I1 to I3: money adds up, is settled once, and moves once, as ordered."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.case import Case
from tests.chaos.recorded import Row


def money_balances(case: Case) -> Iterator[str]:
    for row in case.rows["escrows"]:
        parts = [row[f"{n}_minor"] for n in ("held", "refunded", "paid_out", "charged_back")]
        if row["captured_minor"] != sum(parts) or min(parts) < 0:
            yield f"order {row['order_id']}: {row['captured_minor']} is not the sum of {parts}"


def one_settlement(case: Case) -> Iterator[str]:
    captured: dict[str, int] = {}  # by the first capture; a second one is sent back
    for row in sorted(case.rows["facts"], key=lambda row: row["decision_no"], reverse=True):
        last = case.resolved.get((row["order_id"], row["decision_no"])) or row
        if row["type"] == "payment.captured" and last["outcome"] == "applied":
            captured[row["order_id"]] = last["decision_no"]
    by_order: dict[str, list[Row]] = defaultdict(list)
    for command in case.rows["commands"]:
        if command["purpose"] == "settlement":
            by_order[command["order_id"]].append(command)
    totals = {row["order_id"]: row["captured_minor"] for row in case.rows["escrows"]}
    for order_id, commands in by_order.items():
        lines = Counter((c["kind"], c["payment_id"]) for c in commands)
        if len({c["decision_no"] for c in commands}) > 1 or max(lines.values()) > 1:
            yield f"order {order_id} was settled twice"
        if sum(c["amount_minor"] for c in commands) > totals[order_id]:
            yield f"order {order_id}: more is settled than was captured"
        if commands[0]["decision_no"] < captured.get(order_id, 2**31):
            yield f"order {order_id} was settled before its capture"


def each_effect_once(case: Case) -> Iterator[str]:
    commands = {c["command_id"]: c for c in case.rows["commands"]}
    done = Counter(effect["command_id"] for effect in case.recorded.effects)
    lines: Counter[tuple[str, str, str]] = Counter()
    for effect in case.recorded.effects:
        command = commands.get(effect["command_id"])
        if command is None:
            yield f"effect of {effect['command_id']}, which nobody ordered"
            continue
        names = ("order_id", "kind", "party_id", "amount_minor", "currency")
        if any(effect[name] != command[name] for name in names):
            yield f"effect of {effect['command_id']} is not what was ordered"
        if command["purpose"] in {"settlement", "reissue"} and not effect["came_back"]:
            lines[command["order_id"], command["kind"], command["payment_id"]] += 1
    yield from (f"command {id_} took effect {n} times" for id_, n in done.items() if n > 1)
    yield from (f"line {line} was paid {n} times" for line, n in lines.items() if n > 1)
    settled = {id_ for id_, c in commands.items() if c["state"] in {"SETTLED", "RETURNED"}}
    yield from (f"command {id_} is settled without an effect" for id_ in settled - done.keys())
    yield from (
        f"effect of {id_} never became known"
        for id_ in done.keys() - settled - case.recorded.untold
    )
