"""Card numbers in texts, RULES 3.1: no text with one gets past the door."""

import re

CHAIN = re.compile(r"[0-9]+(?:[ -][0-9]+)*", re.ASCII)  # groups joined by exactly one space or dash


def luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit)
        if place % 2 == 1:
            number *= 2
            if number > 9:
                number -= 9
        total += number
    return total % 10 == 0


def has_card_number(text: str) -> bool:
    for chain in CHAIN.findall(text):
        groups = re.split("[ -]", chain)
        for first in range(len(groups)):
            for last in range(first, len(groups)):
                digits = "".join(groups[first : last + 1])
                if len(digits) > 19:
                    break
                if 13 <= len(digits) <= 19 and digits[0] in "23456" and luhn(digits):
                    return True
    return False
