"""An amount is a positive integer of minor units beside an ISO 4217 code with exponent 0, 2 or 3.

No float, decimal, boolean or numeric text ever stands for money (RULES 1).
"""

from typing import Annotated, Any, Final

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

AMOUNT_MINOR_MAX: Final = 2**53 - 1

# The ISO 4217 list as published on this day. Codes without an exponent (XAU, XXX, ...) and
# those with exponent 4 (CLF, UYW) are left out on purpose: they are not valid here.
ISO_4217_PUBLISHED: Final = "2026-01-01"
_CODES_BY_EXPONENT: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD
        CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP
        GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK
        LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO
        NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS
        SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST
        XAD XCD XCG YER ZAR ZMW ZWG
        """,
    3: "BHD IQD JOD KWD LYD OMR TND",
}
EXPONENTS: Final[dict[str, int]] = {
    code: exponent for exponent, codes in _CODES_BY_EXPONENT.items() for code in codes.split()
}


class _KnownCurrency:
    """Validates against the table inside pydantic's core: no Python call a record."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.literal_schema(sorted(EXPONENTS))


Currency = Annotated[str, _KnownCurrency()]
AmountMinor = Annotated[int, Field(ge=1, le=AMOUNT_MINOR_MAX)]
AmountMinorOrZero = Annotated[int, Field(ge=0, le=AMOUNT_MINOR_MAX)]


def format_amount(amount_minor: int, currency: str | None) -> str:
    """`1999, "EUR"` → `19.99 EUR`, by integer arithmetic only, for people's eyes."""
    exponent = EXPONENTS.get(currency or "", 0)
    if not exponent:
        return f"{amount_minor:,} {currency or ''}".rstrip()
    sign = "-" if amount_minor < 0 else ""
    major, minor = divmod(abs(amount_minor), 10**exponent)
    return f"{sign}{major:,}.{minor:0{exponent}d} {currency}"
