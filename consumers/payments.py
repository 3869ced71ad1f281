"""Money that came in, and what a card network takes back: each payment id is used once over all orders."""

from typing import Final

from consumers.engine.stage import Stage
from schemas.facts import PAYMENTS

STAGE: Final = Stage("payments", PAYMENTS)
