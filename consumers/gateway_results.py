"""A command ends once, whatever a gateway says twice, late or wrongly."""

from typing import Final

from consumers.engine.stage import Stage
from schemas.facts import GATEWAY_RESULTS

STAGE: Final = Stage("gateway_results", GATEWAY_RESULTS)
