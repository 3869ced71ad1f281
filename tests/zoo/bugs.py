"""The zoo: what could go wrong in a pipeline like this one, as text that replaces other text.

Most are the list of the reliability page; the rest are mistakes that were made, or nearly, elsewhere.
"""

from typing import Final

from tests.zoo.planted.door import DOOR
from tests.zoo.planted.meeting import MEETING
from tests.zoo.planted.rules import RULES
from tests.zoo.planted.sending import SENDING
from tests.zoo.planted.writing import WRITING
from tests.zoo.shape import Bug

BUGS: Final[dict[str, Bug]] = {**WRITING, **SENDING, **DOOR, **RULES, **MEETING}
