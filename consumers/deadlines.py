"""A deadline acts only if its condition still holds when it is decided."""

from typing import Final

from consumers.engine.stage import Stage
from schemas.facts import DEADLINES

STAGE: Final = Stage("deadlines", DEADLINES)
