"""What buyer and supplier say of an order is decided in the order in which they said it."""

from typing import Final

from consumers.engine.stage import Stage
from schemas.facts import REFUND_REQUESTS

STAGE: Final = Stage("refund_requests", REFUND_REQUESTS)
