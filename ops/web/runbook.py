"""The runbook as a page, so that an alarm leads to what to do; its text is docs/runbook.md and no other."""

import re
from functools import cache
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ops.web.pages import page

FILE: Final = Path(__file__).parents[2] / "docs" / "runbook.md"
_HEADING: Final = re.compile(r"<h2>(.+?)</h2>")
_LINK: Final = re.compile(r'<a href="(?!#)[^"]*">(.*?)</a>')  # to files, which are not served


def there_is_one() -> bool:
    """An installed package comes without the docs."""
    return FILE.is_file()


@cache
def rendered() -> Markup:
    """The runbook as HTML; HTML in it is text."""
    html = (
        MarkdownIt("commonmark", {"html": False})
        .enable("table")
        .render(FILE.read_text(encoding="utf-8").partition("\n")[2])
    )
    html = _HEADING.sub(lambda h: f'<h2 id="{h[1].replace(" ", "-")}">{h[1]}</h2>', html)
    html = html.replace("<h1>", '<h2 class="part">').replace("</h1>", "</h2>")
    html = html.replace("<pre>", '<pre tabindex="0">')
    return Markup(_LINK.sub(r"<em>\1</em>", html))  # noqa: S704  our own file, HTML in it escaped


def show(request: Request) -> Response:
    """All of it; an alarm's link names its section."""
    if not there_is_one():
        raise HTTPException(404, "The runbook was not installed: see docs/runbook.md.")
    return page(request, "runbook.html", "Runbook", text=rendered())


routes: Final = [Route("/runbook", show)]
