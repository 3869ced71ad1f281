"""What a person tells the sending side goes onto the operators' topic as a fact; a stage takes it, the relay obeys.

Nothing here writes a row.
"""

from typing import Any, Final
from uuid import uuid4

from consumers.engine.config import Settings
from consumers.engine.signing import signed
from ops.said_by_people import CannotSay, envelope_headers
from schemas.door import Record, Rejected, decode_with_instructions
from schemas.instructions import INSTRUCTION_TYPES, InstructionData

SOURCE: Final = "/escrow/operators"


def instruction_record(
    settings: Settings, type_name: str, data: dict[str, Any], operator_id: str, note: str, t: int
) -> Record:
    """The record to publish, signed where this process has a key. Raises CannotSay.

    `t`: ms UTC, where the broker sets no time of its own.
    """
    if not settings.sending.operator_controls:
        raise CannotSay(
            "operators do not control sending here: set ESCROW_SENDING__OPERATOR_CONTROLS=true"
            " for the stage operator_actions, the relay and this command"
        )
    known = INSTRUCTION_TYPES[type_name]
    said = {**data, "action_id": uuid4().hex, "operator_id": operator_id, "note": note}
    try:
        model = known.model.model_validate(said)
    except ValueError as error:
        raise CannotSay(f"not valid: {error}") from None
    assert isinstance(model, InstructionData)
    headers = envelope_headers(type_name, SOURCE)
    value = model.model_dump_json().encode()
    record = Record(known.topic, 0, 0, t, model.key.encode(), value, headers)
    taken = decode_with_instructions(record)
    if isinstance(taken, Rejected):  # a card number in the note, for one
        raise CannotSay(f"the record would not pass the door: {taken.code} ({taken.detail})")
    return signed(settings, record)
