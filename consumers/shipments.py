"""What carriers say is recorded in any status; it moves money only as proof that nothing will arrive."""

from typing import Final

from consumers.engine.stage import Stage
from schemas.facts import SHIPMENTS

STAGE: Final = Stage("shipments", SHIPMENTS)
