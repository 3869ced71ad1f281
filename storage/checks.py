"""Questions about whole tables that an audit asks; each answers with the rows that must not be there.

Every query is one pass of hash joins or sorts inside the database; none takes a lock.
"""

from typing import Final, NamedTuple

from schemas.facts import FACT_TYPES
from schemas.instructions import INSTRUCTION_TYPES
from storage import totals
from storage.reading import Snapshot
from storage.rows import fetch
from storage.tables import APPEND_ONLY, metadata

Wrong = list[tuple[str, str]]  # (subject, text)
LIMIT: Final = 100  # findings of one query; more say nothing new

_IDENTITY: Final = "substr(sha256(convert_to(source || E'\\n' || id, 'UTF8')), 1, 16)"
_DIGEST: Final = "substr(sha256(convert_to(type || E'\\n' || payload, 'UTF8')), 1, 16)"
_SAID: Final = """
SELECT order_id AS subject, source, id, type, payload, text_digest IS NOT NULL AS has_text,
  false AS may_be_forgotten
FROM facts
UNION ALL
SELECT supplier_id, source, id, 'supplier.reported', payload, text IS NOT NULL, text IS NULL
FROM supplier_reports
"""

# facts and reports whose identity is missing or belongs to something else
_FACTS_WITHOUT_IDENTITY: Final = f"""
WITH said AS ({_SAID})
SELECT s.subject, CASE WHEN i.identity IS NULL THEN 'no identity for ' ELSE 'another identity for '
  END || s.type || ' ' || s.id
FROM (SELECT *, {_IDENTITY} AS identity, {_DIGEST} AS digest FROM said) s
LEFT JOIN identities i ON i.identity = s.identity
WHERE i.identity IS NULL OR i.digest <> s.digest
  OR ((i.text_digest IS NOT NULL) <> s.has_text AND NOT (s.may_be_forgotten AND i.salt IS NULL))
LIMIT {LIMIT}
"""  # noqa: S608  our own text
_IDENTITIES_COUNTED: Final = """
SELECT (SELECT count(*) FROM identities),
  (SELECT count(*) FROM facts) + (SELECT count(*) FROM supplier_reports)
    + (SELECT coalesce(sum(facts), 0)::bigint FROM archived_counts)
"""
# Payment ids and the applied captures that used them: neither may be there without the other. Where
# captures are in files, the ids are counted; each order is held against its own file elsewhere.
_PAYMENTS_APART: Final = f"""
WITH captured AS MATERIALIZED (
  SELECT order_id, id, payload::jsonb ->> 'payment_id' AS payment_id FROM facts
  WHERE type = 'payment.captured' AND outcome = 'applied')
SELECT coalesce(p.order_id, c.order_id), CASE WHEN c.order_id IS NULL
  THEN 'payment ' || p.payment_id || ' is used, and no capture used it'
  ELSE 'capture ' || c.id || ' was applied, and its payment id is not marked as used' END
FROM payments p FULL JOIN captured c ON c.payment_id = p.payment_id AND c.order_id = p.order_id
WHERE p.order_id IS NULL OR c.order_id IS NULL
  AND NOT EXISTS (SELECT FROM archived_orders a WHERE a.order_id = p.order_id)
LIMIT {LIMIT}
"""  # noqa: S608  our own text
_PAYMENTS_IN_FILES: Final = """
WITH filed AS (SELECT DISTINCT order_id FROM archived_orders)
SELECT (SELECT count(*) FROM payments JOIN filed USING (order_id)),
  (SELECT coalesce(sum(facts), 0)::bigint FROM archived_counts
   WHERE type = 'payment.captured' AND outcome = 'applied')
  + (SELECT count(*) FROM facts JOIN filed USING (order_id)
     WHERE type = 'payment.captured' AND outcome = 'applied')
"""
# records for gateways that are not the decided command: who can write here can drain the escrow
_SENT_WITHOUT_COMMAND: Final = f"""
SELECT o.key, o.type || ' ' || o.sent_id || ' is in the outbox, and is not the decided command'
FROM (SELECT key, type, topic, sent_id, payload::jsonb AS said FROM outbox
      WHERE type IN ('refund.issue', 'payout.release')) o
WHERE NOT EXISTS (
  SELECT FROM commands c WHERE c.order_id = o.key AND c.command_id = o.said ->> 'command_id'
    AND c.kind || '.' || CASE c.kind WHEN 'refund' THEN 'issue' ELSE 'release' END = o.type
    AND o.topic = 'escrow.' || c.kind || '-commands.v1'
    AND o.sent_id = c.command_id || '.' || (o.said ->> 'attempt')
    AND (o.said ->> 'attempt')::int BETWEEN 1 AND c.attempt
    AND (o.said ->> 'amount_minor')::bigint = c.amount_minor
    AND o.said ->> 'currency' = c.currency AND o.said ->> 'party_id' = c.party_id
    AND o.said ->> 'payment_id' = c.payment_id)
LIMIT {LIMIT}
"""  # noqa: S608  our own text
# Commands that wait for a gateway which was never told. The relay clears away what it sent long
# ago, so only those count whose asking fact was decided since.
_COMMAND_NOT_SENT: Final = f"""
SELECT c.order_id, c.kind || ' ' || c.command_id || ' attempt ' || c.attempt
  || ' is not in the outbox'
FROM commands c
WHERE c.state = 'PENDING'
  AND NOT EXISTS (SELECT FROM outbox o WHERE o.sent_id = c.command_id || '.' || c.attempt)
  AND EXISTS (
    SELECT FROM facts f
    JOIN unnest(%(types)b::text[], %(topics)b::text[]) AS s(type, topic) ON s.type = f.type
    JOIN batches b ON b.topic = s.topic AND b.partition = f.partition
      AND f."offset" >= b.first_offset AND f."offset" < b.next_offset
    WHERE f.order_id = c.order_id AND f.t = c.asked_at
      AND b.at > now() - make_interval(secs => %(retention_seconds)b::float8))
LIMIT {LIMIT}
"""  # noqa: S608  our own text
_TOTALS: Final = """
SELECT status, currency, count(*), sum(captured_minor), sum(held_minor), sum(refunded_minor),
  sum(paid_out_minor), sum(charged_back_minor), sum(supplier_debt_minor), sum(loss_minor)
FROM escrows WHERE status IS NOT NULL GROUP BY status, currency ORDER BY status, currency
"""
# Within an epoch batches join; a new epoch may begin earlier (an operator reads again), but later
# only where an operator moved the position there, and left his name.
_BATCHES_APART: Final = f"""
SELECT stage || ' ' || topic || '/' || partition,
  CASE WHEN next_offset < first_offset THEN 'a batch runs backwards at ' || first_offset
       WHEN applied + refused + parked + duplicate + dead_letter > next_offset - first_offset
         THEN 'more outcomes than records from offset ' || first_offset
       WHEN first_offset > before THEN 'no batch from ' || before || ' to ' || first_offset
       WHEN epoch = epoch_before THEN 'two batches of one epoch overlap at ' || first_offset
       ELSE 'two epochs wrote in turn at ' || first_offset END
FROM (SELECT *, lag(next_offset) OVER w AS before, lag(epoch) OVER w AS epoch_before,
        lag(at) OVER w AS at_before
      FROM batches
      WINDOW w AS (PARTITION BY stage, topic, partition ORDER BY epoch, first_offset)) b
WHERE next_offset < first_offset
  OR (first_offset > before AND NOT EXISTS (SELECT FROM position_moves m
      WHERE m.stage = b.stage AND m.topic = b.topic AND m.partition = b.partition
        AND m.to_offset = b.first_offset))
  OR applied + refused + parked + duplicate + dead_letter > next_offset - first_offset
  OR (first_offset < before AND (epoch = epoch_before OR at < at_before))
LIMIT {LIMIT}
"""  # noqa: S608  our own text
_POSITION_OFF: Final = f"""
SELECT p.stage || ' ' || p.topic || '/' || p.partition,
  'the position is ' || p.next_offset || ', its last batch ended at ' || b.next_offset
FROM consumer_positions p JOIN LATERAL (
  SELECT next_offset, epoch FROM batches b
  WHERE b.stage = p.stage AND b.topic = p.topic AND b.partition = p.partition
  ORDER BY epoch DESC, first_offset DESC LIMIT 1) b ON true
WHERE p.next_offset <> b.next_offset AND (p.epoch = b.epoch OR p.next_offset > b.next_offset)
  AND NOT EXISTS (SELECT FROM position_moves m WHERE m.stage = p.stage AND m.topic = p.topic
    AND m.partition = p.partition AND m.to_offset = p.next_offset)
LIMIT {LIMIT}
"""  # noqa: S608  our own text
_READ: Final = """
SELECT topic, partition, sum(applied), sum(refused), sum(parked), sum(dead_letter),
  bool_or(first_offset < before)
FROM (SELECT *, max(next_offset) OVER (PARTITION BY topic, partition ORDER BY first_offset, epoch
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM batches) b
GROUP BY topic, partition ORDER BY topic, partition
"""
_KEPT_FACTS: Final = """
SELECT type, partition, outcome, count(*) FROM (
  SELECT type, partition, outcome FROM facts
  UNION ALL SELECT 'supplier.reported', partition, 'applied' FROM supplier_reports
  UNION ALL SELECT type, partition, 'applied' FROM instructions) f
GROUP BY type, partition, outcome
UNION ALL
SELECT type, partition, outcome, sum(facts)::bigint FROM archived_counts
GROUP BY type, partition, outcome
"""
_KEPT_LETTERS: Final = """
SELECT topic, partition, count(*) FROM dead_letters WHERE code <> 'parked_too_long'
GROUP BY topic, partition
"""
_TRIGGERS_OFF: Final = f"""
SELECT t.name, 'its append-only trigger is missing or off' FROM unnest(%(tables)b::text[]) t(name)
WHERE NOT EXISTS (
  SELECT FROM pg_trigger g WHERE g.tgrelid = t.name::regclass AND g.tgname = 'append_only'
    AND g.tgenabled <> 'D')
LIMIT {LIMIT}
"""  # noqa: S608  our own text
_CONSTRAINTS_OFF: Final = """
SELECT c.conrelid::regclass::text, 'the constraint ' || c.conname || ' is not in force'
FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
WHERE r.relnamespace = 'public'::regnamespace AND NOT c.convalidated
"""
_EXPECTED_CHECKS: Final = """
SELECT conname FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
WHERE r.relnamespace = 'public'::regnamespace
"""
_SIZES: Final = "SELECT (SELECT count(*) FROM escrows), (SELECT count(*) FROM supplier_reports)"


class Account(NamedTuple):
    """What became of one partition's records: as its batches counted, and as rows are there."""

    topic: str
    partition: int
    counted: dict[str, int]  # outcome → records, as the batches say
    kept: dict[str, int]  # outcome → facts and dead letters that are there
    again: bool  # some records were read more than once


def wrong_identities(connection: Snapshot) -> Wrong:
    """Facts without their identity, and identities without a fact."""
    wrong = _wrong(connection, _FACTS_WITHOUT_IDENTITY)
    ((identities, said),) = fetch(connection, _IDENTITIES_COUNTED)
    if identities != said:
        wrong.append(("identities", f"{identities} identities for {said} facts and reports"))
    return wrong


def wrong_payments(connection: Snapshot) -> Wrong:
    """Payment ids without their capture, and applied captures without their payment id."""
    wrong = _wrong(connection, _PAYMENTS_APART)
    ((used, captures),) = fetch(connection, _PAYMENTS_IN_FILES)
    if used != captures:
        wrong.append(("payments", f"archived orders use {used}, their captures are {captures}"))
    return wrong


def wrong_commands_sent(connection: Snapshot, retention_seconds: float) -> Wrong:
    """Records for gateways that no decision made, and decided commands that are not to be sent.

    `retention_seconds`: how long the relay keeps what it has sent.
    """
    not_sent = fetch(
        connection,
        _COMMAND_NOT_SENT,
        types=[fact.name for fact in FACT_TYPES.values()],
        topics=[fact.topic for fact in FACT_TYPES.values()],
        retention_seconds=float(retention_seconds),
    )
    return _wrong(connection, _SENT_WITHOUT_COMMAND) + [(row[0], row[1]) for row in not_sent]


def wrong_totals(connection: Snapshot) -> Wrong:
    """Totals by status and currency that are not the sum of the rows."""
    kept = {(row["status"], row["currency"]): row for row in totals.read(connection)}
    names = ("captured", "held", "refunded", "paid_out", "charged_back", "debt", "loss")
    wrong: Wrong = []
    for status, currency, *figures in fetch(connection, _TOTALS):
        total = kept.pop((status, currency), {})
        for name, figure in zip(("orders", *names), figures, strict=True):
            if int(figure) != total.get(name, 0):
                text = f"{name}: the totals say {total.get(name, 0)}, the rows {int(figure)}"
                wrong.append((f"{status} {currency}", text))
    wrong += [(f"{status} {currency}", "in the totals only") for status, currency in kept]
    return wrong


def wrong_batches(connection: Snapshot) -> Wrong:
    """Gaps, overlaps and interleaved epochs, and positions that are not where batches ended."""
    return _wrong(connection, _BATCHES_APART) + _wrong(connection, _POSITION_OFF)


def accounts(connection: Snapshot) -> list[Account]:
    """For each partition: records by outcome, as counted and as kept."""
    kept: dict[tuple[str, int], dict[str, int]] = {}
    for type_name, partition, outcome, count in fetch(connection, _KEPT_FACTS):
        known = FACT_TYPES.get(type_name) or INSTRUCTION_TYPES.get(type_name)
        topic = known.topic if known is not None else f"unknown type {type_name}"
        sums = kept.setdefault((topic, partition), {})
        sums[outcome] = sums.get(outcome, 0) + count
    for topic, partition, count in fetch(connection, _KEPT_LETTERS):
        kept.setdefault((topic, partition), {})["dead_letter"] = count
    found: list[Account] = []
    for topic, partition, applied, refused, parked, dead_letter, again in fetch(connection, _READ):
        counted = {
            "applied": int(applied),
            "refused": int(refused),
            "parked": int(parked),
            "dead_letter": int(dead_letter),
        }
        found.append(
            Account(topic, partition, counted, kept.pop((topic, partition), {}), bool(again))
        )
    found += [
        Account(topic, partition, {}, sums, False) for (topic, partition), sums in kept.items()
    ]
    return found


def wrong_guards(connection: Snapshot) -> Wrong:
    """Append-only triggers that are off, constraints that are not in force."""
    tables = [table.name for table in APPEND_ONLY]
    wrong = [(str(a), str(b)) for a, b in fetch(connection, _TRIGGERS_OFF, tables=tables)]
    wrong += _wrong(connection, _CONSTRAINTS_OFF)
    there = {row[0] for row in fetch(connection, _EXPECTED_CHECKS)}
    for table in metadata.sorted_tables:
        for constraint in table.constraints:
            if isinstance(constraint.name, str) and str(constraint.name) not in there:
                wrong.append((table.name, f"the constraint {constraint.name} is missing"))
    return wrong


def sizes(connection: Snapshot) -> tuple[int, int]:
    """Rows of orders, and supplier reports: for a progress bar and the report."""
    ((orders, reports),) = fetch(connection, _SIZES)
    return orders, reports


def _wrong(connection: Snapshot, sql: str) -> Wrong:
    return [(str(subject), str(text)) for subject, text in fetch(connection, sql)]
