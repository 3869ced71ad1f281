"""An operator acts by a fact on a topic, decided like every other; never by a direct write."""

from typing import Final

from consumers.engine.stage import Stage
from schemas.facts import OPERATOR_ACTIONS

STAGE: Final = Stage("operator_actions", OPERATOR_ACTIONS)
