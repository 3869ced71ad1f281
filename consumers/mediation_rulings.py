"""A ruling waits for its mediation for ever, and is carried out once."""

from typing import Final

from consumers.engine.stage import Stage
from schemas.facts import MEDIATION_RULINGS

STAGE: Final = Stage("mediation_rulings", MEDIATION_RULINGS)
