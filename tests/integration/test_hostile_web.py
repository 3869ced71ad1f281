"""Whatever stands in a parameter of the console, it is a text: no page breaks, nothing is injected, no row changes."""

import re
from collections.abc import Iterator
from random import Random
from typing import Any, Final
from urllib.parse import quote

import pytest
from sqlalchemy import NullPool, create_engine, text
from starlette.testclient import TestClient

from consumers.engine.config import Settings
from ops.web.app import _routes, create_app
from storage.tables import metadata
from tests.conftest import SEED
from tests.integration.filled import Filler
from tests.integration.small_world import HELD, a_small_world, said
from tests.unit.looks import Eyes, a_sample, seen_by

MARK: Final = "zq9x"  # whatever page it stands on, it stands there as text
HOSTILE: Final = (
    f"<script>{MARK}</script>",
    f'"><img src=x onerror={MARK}>',
    f"'; DROP TABLE facts; -- {MARK}",
    f"1 OR 1=1 {MARK}",
    f"' UNION SELECT current_user -- {MARK}",
    f"../../../../etc/passwd{MARK}",
    "..\\..\\windows\\win.ini",
    "%2e%2e%2f%2e%2e%2f",
    "\x00",
    "a\x00b",
    "\r\nset-cookie: a=b",
    "\u202e\u2066" + MARK,
    "${jndi:ldap://x}" + MARK,
    "{{7*7}}" + MARK,
    "{% raw %}" + MARK,
    "\ud7ff\U0010ffff",
    "-1",
    "9" * 400,
    "NaN",
    "x" * 8_000,
    "",
    " ",
    "%",
    "*",
)
PARAMETERS: Final = (
    "q",
    "code",
    "topic",
    "order",
    "stage",
    "page",
    "at",
    "limit",
    "next",
    "all",
    "state",
)


@pytest.fixture
def client(database_url: str, settings: Settings) -> Iterator[TestClient]:
    Filler(database_url).records(
        [*a_small_world(), said("refund.requested", HELD, 9, note=f"<script>{MARK}</script>")]
    )
    app = create_app(settings, Eyes(seen_by([a_sample(0)]), settings))
    with TestClient(
        app, base_url="http://127.0.0.1", follow_redirects=False, raise_server_exceptions=False
    ) as client:
        yield client


def paths() -> list[tuple[str, tuple[str, ...]]]:
    """Every page and its parameters."""
    found = []

    def look(routes: Any, before: str) -> None:
        for route in routes:
            path = before + getattr(route, "path", "")
            if getattr(route, "routes", None) and not getattr(route, "methods", None):
                look(route.routes, path)
            elif "GET" in (getattr(route, "methods", None) or ()):
                found.append((path, tuple(re.findall(r"{(\w+)", path))))

    look(_routes(), "")
    return found


def counts(url: str) -> dict[str, int]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        return {
            table.name: connection.execute(text(f"SELECT count(*) FROM {table.name}")).scalar_one()
            for table in metadata.sorted_tables
        }


def tries(rng: Random) -> Iterator[str]:
    """In each place of each path some texts, and in parameters that are chosen by chance."""
    for path, names in paths():
        if path.startswith("/live"):
            continue  # a stream that does not end
        for hostile in rng.sample(HOSTILE, 9):  # the seed is another one in every run
            filled = re.sub(r"{\w+(?::\w+)?}", "{}", path)
            filled = filled.replace("{}", quote(hostile, safe="") or "-")
            query = "&".join(
                f"{name}={quote(hostile, safe='')}" for name in rng.sample(PARAMETERS, 3)
            )
            yield f"{filled}?{query}"
            if not names:
                yield f"{path}?{rng.choice(PARAMETERS)}={quote(rng.choice(HOSTILE), safe='')}"


def test_no_parameter_of_any_page_is_more_than_a_text(
    client: TestClient, database_url: str
) -> None:
    before = counts(database_url)
    asked = 0
    for url in tries(Random(SEED)):
        answer = client.get(url)
        asked += 1
        assert answer.status_code < 500, (SEED, url, answer.status_code)
        assert "set-cookie: a=b" not in str(answer.headers), url
        assert "Traceback" not in answer.text, url
        assert "psycopg" not in answer.text, url
        if "text/html" in answer.headers.get("content-type", ""):
            assert f"<script>{MARK}" not in answer.text, url
            assert f"onerror={MARK}>" not in answer.text.replace("&gt;", ""), url
            assert "script-src" in answer.headers["content-security-policy"], url
            assert "'unsafe-inline'" not in answer.headers["content-security-policy"], url
        assert "49" + MARK not in answer.text, "a template was rendered twice"
        assert "root:" not in answer.text, url
    assert asked > 9 * len(paths())
    assert counts(database_url) == before


def test_what_senders_wrote_is_text_on_every_page_that_shows_it(client: TestClient) -> None:
    for url in (f"/orders/{HELD}", "/mediation", "/dead-letters", f"/mediation/{HELD}"):
        page = client.get(url).text
        assert f"<script>{MARK}" not in page, url
