"""What the outbox says lies in its topics, in the order of its rows, and nothing else does."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from tests.chaos.case import Case

DEAD_LETTERS: Final = "escrow.dead-letters.v1"
QUESTION: Final = "command.status_requested"
Queue = tuple[str, str, str]  # topic, key, and of what locks no order, which of these it is


def all_is_told(case: Case) -> Iterator[str]:
    """Every row of the outbox lies in its topic, in the order of the rows, and nothing else does."""
    there: dict[Queue, list[str]] = defaultdict(list)
    told: dict[Queue, list[str]] = defaultdict(list)
    ours = {row["topic"] for row in case.rows["outbox"]}
    for (topic, _), records in case.recorded.topics.items():
        for seen in records if topic in ours else ():
            key = (seen.key or b"").decode(errors="replace")
            queue = there[queue_of(topic, key, seen.header("ce_type"), seen.value or b"")]
            if (id_ := seen.header("ce_id")) not in queue:
                queue.append(id_)
    for row in case.rows["outbox"]:
        queue = told[queue_of(row["topic"], row["key"], row["type"], row["payload"])]
        if row["sent_at"] is not None and row["sent_id"] not in queue:
            queue.append(row["sent_id"])
    for place in there.keys() | told.keys():
        if there[place] != told[place]:
            yield f"{place}: {told[place]} were to be told, {there[place]} were"


def queue_of(topic: str, key: str, type_: str, value: str | bytes) -> Queue:
    """Within what there is an order. Dead letters of the door lock no order: they have that of the
    partition they come from, and none with those of other stages that bear the same key. Questions
    about commands lock none either: a command written before one may be committed after it.
    """
    if topic == DEAD_LETTERS:
        letter = json.loads(value)
        return topic, key, f"{letter['topic']}[{letter['partition']}]"
    return topic, key, type_ if type_ == QUESTION else ""
