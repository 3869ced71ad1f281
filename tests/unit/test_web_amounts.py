"""What a mediator types is taken digit by digit: no float is ever made of money."""

import pytest
from starlette.exceptions import HTTPException

from ops.web.mediation import minor_of


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.50", "EUR", 1250),
        (" 12 ", "EUR", 1200),
        ("0.01", "EUR", 1),
        ("1250", "JPY", 1250),
        ("1.234", "BHD", 1234),
        ("9007199254740.99", "EUR", 900719925474099),
    ],
)
def test_amounts(text: str, currency: str, minor: int) -> None:
    assert minor_of(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("", "EUR"),
        ("12.5", "EUR"),
        ("12.500", "EUR"),
        ("12,50", "EUR"),
        ("1.", "JPY"),
        ("1.0", "JPY"),
        (".50", "EUR"),
        ("-1.00", "EUR"),
        ("+1.00", "EUR"),
        ("1e3", "EUR"),
        ("١٢", "EUR"),
        ("1_000", "EUR"),
        ("9" * 30, "EUR"),
    ],
)
def test_what_is_no_amount(text: str, currency: str) -> None:
    with pytest.raises(HTTPException):
        minor_of(text, currency)
