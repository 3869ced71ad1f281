"""What an operator asks for: a record on a topic like every other fact, never a direct write."""

from schemas.words import Id, Note, WireModel


class CommandReissued(WireModel):
    """A failed or returned command is to be tried once more, under a new command id."""

    order_id: Id
    command_id: Id
    reissue_id: Id
    operator_id: Id
    note: Note | None = None
