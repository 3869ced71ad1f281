"""The versions of the policy are rows: all processes of one database know the same ones, from one commit on.

A version enters in the transaction that ends every stage's epoch. So each batch is decided wholly
before it, or by a worker that has read it: a worker learns the versions when it takes an epoch.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from escrow.policy import CURRENT, Policy, WrongPolicy, learn
from escrow.policy_text import canonical, read_policy
from schemas.order_events import rfc3339
from storage.positions import decided_until
from storage.rows import execute, fetch

_READ: Final = "SELECT content FROM policies ORDER BY version"
_THERE: Final = "SELECT to_regclass('policies') IS NOT NULL"
_END_EPOCHS: Final = """
UPDATE consumer_positions p SET epoch = p.epoch + 1
FROM (SELECT stage, topic, partition FROM consumer_positions
      ORDER BY topic, partition, stage FOR UPDATE) q
WHERE p.stage = q.stage AND p.topic = q.topic AND p.partition = q.partition
"""
_ADD: Final = """
INSERT INTO policies (version, content, operator_id, reason)
VALUES (%(version)s, %(content)s, %(operator_id)s, %(reason)s)
"""


def learn_policies(connection: Connection) -> None:
    """Know all versions of this database from now on. Raises WrongPolicy."""
    learn(read_policy(content) for (content,) in fetch(connection, _READ))


def learn_if_there(connection: Connection) -> bool:
    """The same for those who may look at a database without our tables; True if they are there."""
    there = bool(fetch(connection, _THERE)[0][0])
    if there:
        learn_policies(connection)
    return there


def new_among(connection: Connection, policies: Sequence[Policy]) -> list[Policy]:
    """Those that the database does not have yet. Raises WrongPolicy where one cannot be added.

    A version never changes, and takes effect later than anything that was decided.
    """
    there = [read_policy(content) for (content,) in fetch(connection, _READ)]
    before = {CURRENT.version, *(policy.version for policy in there)}
    learn([*there, *(policy for policy in policies if policy.version in before)])
    new = sorted(policy for policy in policies if policy.version not in before)
    until = decided_until(connection)
    for policy in new:
        if policy.version < max(before):
            raise WrongPolicy(f"version {policy.version}: later versions are there already")
        if policy.effective_at <= until:
            raise WrongPolicy(
                f"version {policy.version}: facts until {rfc3339(until)} have been decided;"
                " it must take effect later"
            )
    learn(new)
    return new


def add(
    connection: Connection, policies: Sequence[Policy], operator_id: str, reason: str
) -> list[Policy]:
    """Add these versions, in the transaction of the caller; returns those that are new.

    Waits for running batches, and ends the epochs of all workers. Raises WrongPolicy.
    """
    execute(connection, _END_EPOCHS)
    new = new_among(connection, policies)
    for policy in new:
        content = canonical(policy)
        said = {"operator_id": operator_id, "reason": reason}
        execute(connection, _ADD, version=policy.version, content=content, **said)
    return new
