"""Ids as RULES writes them, by `hashlib` alone: what the product computes is held against these."""

from hashlib import sha256


def _hex32(*lines: object) -> str:
    return sha256("\n".join(map(str, lines)).encode("utf-8")).hexdigest()[:32]


def command_id(order_id: str, kind: str, n: int) -> str:
    """RULES 4.6."""
    return _hex32(order_id, kind, n)


def reissue_id(old_command_id: str) -> str:
    """RULES 4.6."""
    return _hex32(old_command_id, "reissue")


def deadline_id(order_id: str, kind: str, due_at: int, request_id: str, attempt: int) -> str:
    """RULES 4.7; `due_at` in milliseconds."""
    return _hex32(order_id, kind, due_at, request_id, attempt)
