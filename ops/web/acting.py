"""What every action needs before anything is done: a role, this session's own form, a name and a reason.

An action is done once however often its form is sent, goes out as a record on a topic, and leaves a
line in the log with who, what and why.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from consumers.engine.config import Role
from ops.web.console import console_of, require, session_of
from ops.web.people import same

NAME_LENGTH_MAX: Final = 64
REASON_LENGTH_MAX: Final = 500
FIELDS_MAX: Final = 1_100
FIELD_BYTES_MAX: Final = 1_048_576

log = structlog.get_logger()


class Act(NamedTuple):
    """A form that may be acted on. `reason` is empty only where none is needed yet."""

    form: FormData
    operator: str
    role: Role
    reason: str

    def text(self, name: str) -> str:
        """A field, empty if it was not sent."""
        return str(self.form.get(name, ""))

    def texts(self, name: str) -> list[str]:
        """All values of a field."""
        return [str(value) for value in self.form.getlist(name)]

    def log(self, action: str, **what: Any) -> None:
        """The audit line."""
        log.info(
            "action",
            action=action,
            operator=self.operator,
            role=self.role,
            reason=self.reason,
            **what,
        )


Work = Callable[[Request, Act], Response]


def looked_at(role: Role, work: Work, *, files_max: int = 0) -> Callable[[Request], Any]:
    """A handler of a form that changes nothing yet: role and session are checked."""

    async def handle(request: Request) -> Response:
        act = await _read(request, role, files_max)
        try:
            return await run_in_threadpool(work, request, act)
        finally:
            await act.form.close()  # what was uploaded is gone

    return handle


def done(role: Role, work: Work) -> Callable[[Request], Any]:
    """A handler of a form that acts: a name and a reason must be given, and it is done once."""

    async def handle(request: Request) -> Response:
        act = await _read(request, role)
        if not act.operator:
            raise HTTPException(400, "Say who you are: it is kept with what is done.")
        if not act.reason:
            raise HTTPException(400, "Give a reason: it is kept with what is done.")
        if not console_of(request).people.once(act.text("once")):
            raise HTTPException(409, "This was sent before. Look at what became of it first.")
        return await run_in_threadpool(work, request, act)

    return handle


async def _read(request: Request, role: Role, files_max: int = 0) -> Act:
    """The form, if this person may send it. Raises HTTPException."""
    person = require(request, role)
    form = await request.form(
        max_fields=FIELDS_MAX, max_part_size=FIELD_BYTES_MAX, max_files=files_max
    )
    session = session_of(request)
    if session is None or not same(str(form.get("csrf", "")), session.csrf):
        raise HTTPException(403, "This form is not of your session: load the page again.")
    operator = person.name or str(form.get("operator", "")).strip()
    if len(operator) > NAME_LENGTH_MAX or not operator.isprintable():
        raise HTTPException(400, f"A name has at most {NAME_LENGTH_MAX} characters.")
    reason = " ".join(str(form.get("reason", "")).split())
    if len(reason) > REASON_LENGTH_MAX or not reason.isprintable():
        raise HTTPException(400, f"A reason has at most {REASON_LENGTH_MAX} characters.")
    return Act(form, operator, person.role, reason)
