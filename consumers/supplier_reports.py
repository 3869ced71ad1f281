"""A buyer's report of a supplier is kept once; it concerns no order."""

from typing import Final

from consumers.engine.stage import Stage
from schemas.facts import SUPPLIER_REPORTS

STAGE: Final = Stage("supplier_reports", SUPPLIER_REPORTS)
