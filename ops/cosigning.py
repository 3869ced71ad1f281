"""A record that waits for another person's signature lies in a file, and goes out as its first signer made it.

One line in the form of the dry run's input (RULES 5).
"""

import json
from base64 import b64encode
from pathlib import Path

from consumers.engine.config import Settings
from consumers.engine.signing import own_key, signed
from ops.record_lines import NotARecord, read_records
from schemas.door import Record
from schemas.facts import MEDIATION_RULINGS
from schemas.signatures import Unsigned


class CannotSign(Exception):
    """The record cannot be signed or read; the text says why."""


def put_aside(settings: Settings, record: Record, path: Path) -> Record:
    """Sign a record and write it to a new file; returns it. Raises CannotSign or OSError."""
    mine = _signed(settings, record)
    row = {
        "topic": mine.topic,
        "key": (mine.key or b"").decode(),
        "timestamp_ms": mine.timestamp_ms,
        "headers": {name: (value or b"").decode() for name, value in mine.headers},
        "value_base64": b64encode(mine.value or b"").decode(),
    }
    with path.open("x", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    return mine


def cosigned(settings: Settings, path: Path, t: int) -> Record:
    """The ruling of such a file with this process's signature added. Raises CannotSign or OSError.

    `t`: ms UTC, now; the time at which it was put aside does not count.
    """
    with path.open("rb") as lines:
        try:
            records = list(read_records(lines))
        except NotARecord as error:
            raise CannotSign(f"{path}: {error}") from None
    if len(records) != 1 or records[0].topic != MEDIATION_RULINGS:
        raise CannotSign(f"{path}: not the file of one ruling")
    return _signed(settings, records[0]._replace(timestamp_ms=t))


def _signed(settings: Settings, record: Record) -> Record:
    if own_key(settings) is None:
        raise CannotSign("there is no key to sign with: set ESCROW_SIGNING__PRIVATE_KEY_FILE")
    try:
        return signed(settings, record)
    except Unsigned as error:
        raise CannotSign(str(error)) from None
