"""One order as one file that proves itself: facts, decisions, chain, rows, and digests of all of it.

Who holds the pack needs no database: digests, chain and every decision can be made again from it
(docs/evidence.md, also by hand). It is read with limits, since it may come from anyone.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

from escrow.state import Chargeback, Command, Escrow, Evidence, Offer, Shipment
from ops.audit_order import audit_order
from ops.chain import BrokenChain, heads
from ops.findings import Finding
from ops.redecide import Elsewhere, Unreadable, read_facts
from storage.dossiers import (
    CommandRow,
    DeadlineRow,
    Dossier,
    ParkedRow,
    Posting,
    Resolution,
    SilenceRow,
    StoredFact,
)
from storage.facts import FACT_COLUMNS

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
BYTES_MAX: Final = 64 * 1024 * 1024  # of one file in a pack, unpacked
_FILES: Final = ("summary.txt", "facts.jsonl", "rows.json", "chain.txt")
_TABLES: Final[dict[str, type[Any]]] = {
    "resolutions": Resolution,
    "parked": ParkedRow,
    "postings": Posting,
    "shipments": Shipment,
    "offers": Offer,
    "evidence": Evidence,
    "chargebacks": Chargeback,
    "deadlines": DeadlineRow,
    "silences": SilenceRow,
}
_BYTES: Final = {"chain_head", "text_digest", "salt"}


class BadPack(ValueError):
    """It is no pack of ours, or not a whole one; the text says why."""


class Verified(NamedTuple):
    """What a pack proves. `digest`: of its manifest, to be compared with what one was told."""

    order_id: str
    digest: str
    made_at: str
    facts: int
    decisions: int
    chain_head: str  # hex
    findings: list[Finding]


def make_pack(
    dossier: Dossier, elsewhere: Mapping[str, Elsewhere], summary: str, made_at: str
) -> tuple[bytes, str]:
    """The pack as a zip file, and its digest. `elsewhere`: payment ids that other orders used."""
    files = {
        "summary.txt": summary,
        "facts.jsonl": "".join(_line(_fact_json(stored)) for stored in dossier.facts),
        "rows.json": _pretty(_rows_json(dossier, elsewhere)),
        "chain.txt": _chain_text(dossier),
    }
    raw = {name: text.encode() for name, text in files.items()}
    manifest = {
        "format": FORMAT,
        "order_id": dossier.order_id,
        "made_at": made_at,
        "sha256": {name: sha256(content).hexdigest() for name, content in raw.items()},
    }
    raw[MANIFEST] = _pretty(manifest).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, content in raw.items():
            # one date for all: the same rows make the same bytes
            pack.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return out.getvalue(), sha256(raw[MANIFEST]).hexdigest()


def verify_pack(content: bytes) -> Verified:
    """Make everything again from the pack itself. Raises BadPack where it cannot be read."""
    try:
        raw = _unpacked(content)
        manifest = json.loads(raw[MANIFEST])
        order_id, digests = str(manifest["order_id"]), dict(manifest["sha256"])
        findings = [
            Finding("history", order_id, f"{name} is not what the manifest says")
            for name in _FILES
            if sha256(raw[name]).hexdigest() != digests.get(name)
        ]
        dossier, elsewhere = _dossier(order_id, raw)
        findings += _chain_findings(dossier, raw["chain.txt"].decode())
        findings += _decided_again(dossier, elsewhere)
        row = dossier.row or Escrow(order_id)
        digest = sha256(raw[MANIFEST]).hexdigest()
        made_at, no, head = str(manifest["made_at"]), row.decision_no, row.chain_head.hex()
        return Verified(order_id, digest, made_at, len(dossier.facts), no, head, findings)
    except (
        zipfile.BadZipFile,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ) as e:
        if isinstance(e, BadPack):
            raise
        raise BadPack(f"not an evidence pack, or a damaged one: {type(e).__name__}") from None


def _unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as pack:
        there = {info.filename: info for info in pack.infolist()}
        if set(there) != {*_FILES, MANIFEST} or len(there) != len(pack.infolist()):
            raise BadPack("it does not hold the files of a pack, each once")
        if any(info.file_size > BYTES_MAX for info in there.values()):
            raise BadPack("one of its files is too large")
        raw = {}
        for name, info in there.items():
            with pack.open(info) as file:
                raw[name] = file.read(BYTES_MAX + 1)
            if len(raw[name]) != info.file_size:
                raise BadPack("one of its files is not as long as it says")
        return raw


def _decided_again(dossier: Dossier, elsewhere: dict[str, Elsewhere]) -> list[Finding]:
    try:
        return list(audit_order(dossier, read_facts(dossier), elsewhere))
    except Unreadable as error:
        return [Finding("history", dossier.order_id, str(error))]


def _chain_findings(dossier: Dossier, said: str) -> list[Finding]:
    try:
        made = _chain_text(dossier)
    except BrokenChain as broken:
        return [Finding("history", dossier.order_id, str(broken))]
    if made == said:
        return []
    return [Finding("chain", dossier.order_id, "chain.txt is not the chain that the facts make")]


def _chain_text(dossier: Dossier) -> str:
    return "".join(f"{no} {head.hex()}\n" for no, head in heads(dossier))


def _fact_json(stored: StoredFact) -> dict[str, Any]:
    return {
        "decision_no": stored.no,
        "seq": stored.seq,
        "outcome": stored.outcome,
        "code": stored.code,
        **dict(zip(FACT_COLUMNS, stored.columns, strict=True)),
        "salt": stored.salt,
        "text": stored.text,
    }


def _rows_json(dossier: Dossier, elsewhere: Mapping[str, Elsewhere]) -> dict[str, Any]:
    return {
        "order": None if dossier.row is None else dossier.row._asdict(),
        **{name: [row._asdict() for row in getattr(dossier, name)] for name in _TABLES},
        "commands": [
            {"decision_no": sent.no, "n": sent.n, **sent.command._asdict()}
            for sent in dossier.commands
        ],
        "payment_ids_used_elsewhere": {name: list(used) for name, used in elsewhere.items()},
    }


def _dossier(order_id: str, raw: dict[str, bytes]) -> tuple[Dossier, dict[str, Elsewhere]]:
    rows = json.loads(raw["rows.json"])
    dossier = Dossier(order_id)
    if rows["order"] is not None:
        dossier.row = Escrow(**_with_bytes(rows["order"]))
    for line in raw["facts.jsonl"].decode().splitlines():
        fact = _with_bytes(json.loads(line))
        columns = tuple(fact[name] for name in FACT_COLUMNS)
        head = (fact["decision_no"], fact["seq"], fact["outcome"], fact["code"])
        dossier.facts.append(StoredFact(*head, fact["salt"], fact["text"], columns))
    for name, kind in _TABLES.items():
        setattr(dossier, name, [kind(**row) for row in rows[name]])
    for row in rows["commands"]:
        no, n = row.pop("decision_no"), row.pop("n")
        dossier.commands.append(CommandRow(no, n, None, None, False, Command(**row)))
    used = rows["payment_ids_used_elsewhere"]
    return dossier, {name: Elsewhere(*value) for name, value in used.items()}


def _with_bytes(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: bytes.fromhex(value) if name in _BYTES and value is not None else value
        for name, value in row.items()
    }


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_hex) + "\n"


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, default=_hex) + "\n"


def _hex(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} is no JSON")
