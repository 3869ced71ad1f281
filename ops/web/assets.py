"""Styles, script and icon, under addresses that change with their bytes: a browser asks for each once, and never shows an old one."""

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from typing_extensions import override

FOLDER: Final = Path(__file__).parent / "static"
FOR_EVER: Final = "public, max-age=31536000, immutable"


@cache
def digest_of(name: str) -> str:
    """The beginning of the file's digest: its bytes do not change while we run."""
    return sha256((FOLDER / name).read_bytes()).hexdigest()[:12]


def address_of(name: str) -> str:
    """Where a page finds this file."""
    return f"/static/{name}?{digest_of(name)}"


class Assets(StaticFiles):
    """Asked for by the digest of what it is, a file may be kept; by its name alone, as any page."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    @override
    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        asked: Any = scope.get("query_string", b"")
        if answer.status_code == 200 and asked and asked == digest_of(path).encode():
            answer.headers["Cache-Control"] = FOR_EVER
        return answer
