"""No card number is kept, published or logged: found by shape and Luhn, redacted in bytes.

A group is a longest run of ASCII digits; groups joined by exactly one space or dash form a
chain; whole consecutive groups of one chain with 13 to 19 digits in all, beginning with 2 to 6
and satisfying Luhn, are a card number (RULES 3.1).
"""

import re
from typing import Final

from stdnum import luhn

_CHAIN: Final = re.compile(rb"\d+(?:[ -]\d+)*")
_CHAIN_TEXT: Final = re.compile(r"[0-9]+(?:[ -][0-9]+)*")
_GROUP: Final = re.compile(rb"\d+")
_ESCAPED: Final = re.compile(rb"\\u00(3[0-9]|2[0dD])")
_DIGITS_MIN, _DIGITS_MAX = 13, 19


def has_card_number(text: str) -> bool:
    """True if the text holds a card number."""
    return any(
        len(chain) >= _DIGITS_MIN and bool(_card_spans(chain.encode()))
        for chain in _CHAIN_TEXT.findall(text)
    )


def redact(raw: bytes) -> tuple[bytes, bool]:
    r"""Replace each digit of each card number by `*`; returns the bytes and whether any was found.

    Digits, spaces and dashes that JSON may hide as `\u0034` are unescaped first; the bytes come
    back untouched where nothing is found.
    """
    found = _redact_plain(raw)
    seen = raw if found is None else found
    if b"\\u00" in seen:  # one plain number must not shield another that is escaped
        found = _redact_plain(_ESCAPED.sub(lambda m: bytes([int(m[1], 16)]), seen)) or found
    return (raw, False) if found is None else (found, True)


def redact_text(text: str) -> str:
    """`redact` for text that is kept beside a dead letter."""
    return redact(text.encode("utf-8", "surrogatepass"))[0].decode("utf-8", "surrogatepass")


def _redact_plain(raw: bytes) -> bytes | None:
    out = bytearray(raw)
    hit = False
    for chain in _CHAIN.finditer(raw):
        for start, end in _card_spans(chain[0]):
            hit = True
            for at in range(chain.start() + start, chain.start() + end):
                if out[at] not in b" -":
                    out[at] = 0x2A
    return bytes(out) if hit else None


def _card_spans(chain: bytes) -> list[tuple[int, int]]:
    """Every (start, end) in the chain that is a card number; spans may overlap."""
    groups = [(m.start(), m.end()) for m in _GROUP.finditer(chain)]
    spans = []
    for first, (start, _) in enumerate(groups):
        digits = b""
        for group_start, end in groups[first:]:
            digits += chain[group_start:end]
            if len(digits) > _DIGITS_MAX:
                break
            if (
                len(digits) >= _DIGITS_MIN
                and digits[0] in b"23456"
                and luhn.is_valid(digits.decode())
            ):
                spans.append((start, end))
    return spans
