"""The same attacks on the real line: what the stages keep of each sender is what honest ones sent, and no more."""

import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Final

from sqlalchemy import Engine, create_engine, text

from ops.local.pipeline import Pipeline
from ops.local.traffic.publish import publish
from schemas.door import Record
from schemas.keys import b64url
from tests.attack.honest import SOURCE_RULES
from tests.attack.keys import BOUND, jwk, private_of
from tests.attack.siege import EVERY_STAGE, Plan, Siege, facts_plan

WAIT_SECONDS: Final = 300.0
_DECIDED: Final = """
SELECT coalesce(sum(applied + refused + parked + duplicate + dead_letter), 0) FROM batches
"""
_LETTERS: Final = "SELECT code, count(*) FROM dead_letters GROUP BY code"
_KEPT: Final = """
SELECT source || ' ' || id FROM facts WHERE id LIKE 'id-%'
UNION ALL SELECT source || ' ' || id FROM supplier_reports
"""
_DUPLICATES: Final = "SELECT coalesce(sum(duplicate), 0) FROM batches"


def on_the_line(seed: int, attacks: int) -> Siege:
    """Send such a plan to the stages, and compare what they kept with what was due.

    The plan's order holds within a key only; so do its replays, which follow their record.
    """
    plan = facts_plan(Random(seed), attacks)
    siege = Siege(attacks, len(plan.due) - attacks, Counter(), [])
    with tempfile.TemporaryDirectory() as name:
        env = _keys_in(Path(name))
        with Pipeline(gateway=False, env=env) as pipeline:
            for program in ("ticker", "relay"):
                pipeline.stop_program(program)  # what they would say is not part of the plan
            engine = create_engine(pipeline.settings.database.connection_url)
            publish(plan.records, pipeline.settings)
            _await(engine, len(plan.records))
            _compare(engine, plan, siege)
            engine.dispose()
    return siege


def _keys_in(folder: Path) -> dict[str, str]:
    keys, rules, private = (folder / f"{name}.json" for name in ("keys", "sources", "private"))
    keys.write_text(json.dumps({"keys": [jwk(holder) for holder in BOUND]}))
    rules.write_text(json.dumps(SOURCE_RULES))
    own = {**jwk("relay"), "d": b64url(private_of("relay").private_bytes_raw())}
    private.write_text(json.dumps(own))
    return {
        "ESCROW_SOURCE_RULES": str(rules),
        "ESCROW_SIGNING__KEYS_FILE": str(keys),
        "ESCROW_SIGNING__REQUIRED": json.dumps(EVERY_STAGE),
        "ESCROW_SIGNING__PRIVATE_KEY_FILE": str(private),
    }


def _await(engine: Engine, count: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        with engine.connect() as connection:
            decided = connection.execute(text(_DECIDED)).scalar_one()
        if decided >= count:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{decided} of {count} records are decided")
        time.sleep(0.1)


def _compare(engine: Engine, plan: Plan, siege: Siege) -> None:
    due = Counter(code for code in plan.due if code is not None and code != "duplicate")
    replays = plan.due.count("duplicate")
    honest = Counter(
        _identity(record) for record, code in zip(plan.records, plan.due, strict=True) if not code
    )
    with engine.connect() as connection:
        found: dict[str, int] = dict(connection.execute(text(_LETTERS)).tuples().all())
        letters: Counter[str] = Counter(found)
        kept = Counter(row[0] for row in connection.execute(text(_KEPT)))
        duplicates = connection.execute(text(_DUPLICATES)).scalar_one()
    siege.reasons.update({("any", str(code)): number for code, number in letters.items()})
    siege.reasons["any", "duplicate"] = duplicates
    if due != letters:
        siege.wrong.append(f"due {dict(due)}, came {dict(letters)}")
    if replays != duplicates:
        siege.wrong.append(f"{replays} replays, {duplicates} duplicates")
    siege.wrong.extend(f"accepted: {who}" for who in (kept - honest))
    siege.wrong.extend(f"honest, yet not kept: {who}" for who in (honest - kept))


def _identity(record: Record) -> str:
    headers = {name: (value or b"").decode() for name, value in record.headers}
    if "ce_id" in headers:
        return f"{headers['ce_source']} {headers['ce_id']}"
    event = json.loads(record.value or b"{}")
    return f"{event['source']} {event['id']}"
