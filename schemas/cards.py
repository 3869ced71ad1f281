"""No card number is kept, published or logged: found by shape and Luhn, redacted in bytes.

A group is a longest run of ASCII digits; groups joined by exactly one space or dash form a
chain; whole consecutive groups of one chain with 13 to 19 digits in all, beginning with 2 to 6
and satisfying Luhn, are a card number (RULES 3.1). The sum is ours and not a library's, because a
record may be made of nothing but starts of card numbers, and must cost no more than another.
"""

import re
from typing import Final

_CHAIN: Final = re.compile(rb"\d+(?:[ -]\d+)*")
_CHAIN_TEXT: Final = re.compile(r"[0-9]+(?:[ -][0-9]+)*")
_GROUP: Final = re.compile(rb"\d+")
_ESCAPED: Final = re.compile(rb"\\u00(3[0-9]|2[0dD])")
_DIGITS_MIN, _DIGITS_MAX = 13, 19
_ZERO: Final = 0x30
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)  # a digit twice, its digits added up


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
    """Every (start, end) in the chain that is a card number; spans may overlap.

    Linear in the chain, whatever its groups: a run has at most 19 digits, hence 19 groups, and its
    Luhn sum is the difference of two running sums (`sums[0]` doubles digits at odd places).
    """
    groups = [(m.start(), m.end()) for m in _GROUP.finditer(chain)]
    digits = bytes(d for d in chain if d >= _ZERO)
    sums = ([0], [0])
    for place, digit in enumerate(digits):
        plain, doubled = digit - _ZERO, _DOUBLED[digit - _ZERO]
        sums[0].append(sums[0][-1] + (doubled if place % 2 else plain))
        sums[1].append(sums[1][-1] + (plain if place % 2 else doubled))
    spans = []
    first_digit = 0  # place, among the chain's digits, of the group in hand
    for first, (start, start_end) in enumerate(groups):
        last_digit = first_digit
        if digits[first_digit] in b"23456":
            for group_start, end in groups[first : first + _DIGITS_MAX]:
                last_digit += end - group_start
                if last_digit - first_digit > _DIGITS_MAX:
                    break
                running = sums[(last_digit - 1) % 2]
                if last_digit - first_digit >= _DIGITS_MIN and (
                    (running[last_digit] - running[first_digit]) % 10 == 0
                ):
                    spans.append((start, end))
        first_digit += start_end - start
    return spans
