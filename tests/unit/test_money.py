"""Currencies and amounts: a versioned table of exponents, integers only (RULES 1)."""

import iso4217
import pytest

from schemas.money import AMOUNT_MINOR_MAX, EXPONENTS, format_amount


def test_currencies_and_exponents_are_iso_4217_s() -> None:
    published = {c.code: c.exponent for c in iso4217.Currency if c.exponent in (0, 2, 3)}
    assert published == EXPONENTS


def test_the_largest_amount_is_one_that_every_reader_of_json_can_hold() -> None:
    assert AMOUNT_MINOR_MAX == 2**53 - 1 == int(float(AMOUNT_MINOR_MAX))


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (1999, "EUR", "19.99 EUR"),
        (5, "EUR", "0.05 EUR"),
        (0, "EUR", "0.00 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (123456789, "EUR", "1,234,567.89 EUR"),
        (1999, "JPY", "1,999 JPY"),
        (1999, "BHD", "1.999 BHD"),
        (2**53 - 1, "USD", "90,071,992,547,409.91 USD"),
        (1999, None, "1,999"),
    ],
)
def test_amounts_are_shown_in_the_units_of_people(
    amount: int, currency: str | None, text: str
) -> None:
    assert format_amount(amount, currency) == text
