"""Reconciliation: a gateway's daily file, uploaded or lying in the folder of such files, against commands and ledger.

It changes nothing. A file is named only by its name in that folder; what is uploaded is gone afterwards.
"""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ops.cli.terminal import moment_of
from ops.gateway_file import BadFile
from ops.reconcile_run import reconcile_file
from ops.reconciliation import KINDS
from ops.web.acting import Act, looked_at
from ops.web.console import console_of
from ops.web.pages import page

SHOWN_MAX: Final = 100  # differences of each kind
FILES_SHOWN: Final = 60
_one_at_a_time: Final = threading.Lock()


class GatewayFile(NamedTuple):
    """A file that can be chosen."""

    name: str
    size_bytes: int
    changed_at: int  # ms UTC


def show(request: Request) -> Response:
    """The form, and the files that lie ready."""
    return page(
        request, "reconciliation.html", "Reconciliation", files=_files(request), result=None
    )


def reconcile(request: Request, act: Act) -> Response:
    """Compare, and show what was found."""
    since, until = _moment(act, "since"), _moment(act, "until")
    if not _one_at_a_time.acquire(blocking=False):
        raise HTTPException(503, "Another file is being reconciled: try again when that is done.")
    try:
        with _file(request, act) as (path, name):
            result = reconcile_file(console_of(request).url, path, since, until)
    except BadFile as error:
        raise HTTPException(400, f"The file cannot be read: {error}.") from None
    except OSError as error:
        raise HTTPException(400, f"The file cannot be read: {error.strerror}.") from None
    finally:
        _one_at_a_time.release()
    act.log("reconcile", file=name, clean=result.clean, found=result.found)
    return page(
        request,
        "reconciliation.html",
        "Reconciliation",
        files=_files(request),
        result=result,
        name=name,
        kinds=KINDS,
        differences={
            kind: [one for one in result.differences if one.kind == kind][:SHOWN_MAX]
            for kind in KINDS
            if result.found[kind]
        },
    )


def _moment(act: Act, name: str) -> int | None:
    text = act.text(name).strip()
    try:
        return moment_of(text) if text else None
    except ValueError:
        raise HTTPException(400, f"{name}: a time is like 2026-01-31T00:00:00Z.") from None


@contextmanager
def _file(request: Request, act: Act) -> Iterator[tuple[Path, str]]:
    """Where the chosen file lies, and what it is called. Raises HTTPException."""
    given = act.form.get("file")
    if isinstance(given, UploadFile) and given.filename:
        with tempfile.NamedTemporaryFile(prefix="escrow-gateway-file-") as copy:
            shutil.copyfileobj(given.file, copy)
            copy.flush()
            yield Path(copy.name), given.filename
        return
    wanted = act.text("name")
    folder = console_of(request).settings.web.gateway_files
    if folder is None or wanted not in {file.name for file in _files(request)}:
        raise HTTPException(400, "Choose a file.")
    yield folder / wanted, wanted


def _files(request: Request) -> list[GatewayFile]:
    """The newest first; only plain files of the folder itself."""
    folder = console_of(request).settings.web.gateway_files
    if folder is None or not folder.is_dir():
        return []
    plain = [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]
    files = [
        GatewayFile(path.name, path.stat().st_size, path.stat().st_mtime_ns // 1_000_000)
        for path in plain
        if path.suffix in (".csv", ".jsonl", ".ndjson") and path.name.isprintable()
    ]
    return sorted(files, key=lambda file: -file.changed_at)[:FILES_SHOWN]


_reconciled: Final = looked_at("auditor", reconcile, files_max=1)


async def _asked(request: Request) -> Response:
    """One address, so that what it allows is said whole."""
    if request.method == "POST":
        answer: Response = await _reconciled(request)
        return answer
    return await run_in_threadpool(show, request)


routes: Final = [Route("/reconciliation", _asked, methods=["GET", "POST"])]
