"""schemathesis against the whole console on its own port: no request breaks it, and no form does anything.

`make attack-web`; not part of `make test`, since schemathesis brings packages of its own
(requirements/attack.txt). The description that it needs is made of the routes themselves, so a new
page is attacked as soon as it is there.
"""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from consumers.engine.config import Settings
from ops.web import limits
from ops.web.app import _routes
from ops.web.serve import run_web
from tests.conftest import SEED
from tests.integration.filled import Filler
from tests.integration.small_world import HELD, a_small_world, said
from tests.integration.test_hostile_web import MARK, PARAMETERS, counts

pytestmark = pytest.mark.timeout(600)
EXAMPLES_MAX: Final = 10  # of each operation, besides those that cover its description
CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "unsupported_method",
    "allow_header_conformance",
)
READS: Final = ("200", "303", "400", "404")
# Whoever has no ticket of a session gets no further than this, whatever he fills in.
FORMS: Final = ("400", "403", "404", "413")
_NO_END: Final = "/live"  # a stream
_FIELDS: Final = (
    *("csrf", "once", "operator", "reason", "place", "outcome", "rationale"),
    *("refund_minor", "value", "key", "id", "source", "file"),
)


@pytest.fixture
def address(
    database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A console of mediators, without limits on how much may be asked."""
    Filler(database_url).records(
        [*a_small_world(), said("refund.requested", HELD, 9, note=f"<script>{MARK}</script>")]
    )
    for name in ("PAGES", "FORMS"):
        monkeypatch.setattr(limits, name, limits.Limit(10**9, 10**9))
    web = settings.web.model_copy(update={"port": 0, "role": "mediator", "operator": "olga"})
    stop, listens, ports = threading.Event(), threading.Event(), []

    def listening(port: int) -> None:
        ports.append(port)
        listens.set()

    told = settings.model_copy(update={"web": web})
    thread = threading.Thread(target=run_web, args=(told, stop, listening))
    thread.start()
    assert listens.wait(60)
    yield f"http://127.0.0.1:{ports[0]}"
    stop.set()
    thread.join()


def description() -> dict[str, Any]:
    """Every address of the console as OpenAPI: what may be asked, and what may be answered."""
    paths: dict[str, dict[str, Any]] = {}

    def look(routes: Any, before: str) -> None:
        for route in routes:
            path = before + getattr(route, "path", "")
            methods = getattr(route, "methods", None)
            if methods is None and getattr(route, "routes", None):
                look(route.routes, path)
            elif methods and path != _NO_END:
                names = re.findall(r"{(\w+)", path)
                operations = paths.setdefault(re.sub(r"{(\w+):\w+}", r"{\1}", path), {})
                for method in sorted(methods & {"GET", "POST"}):
                    operations[method.lower()] = _operation(method, path, names)

    look(_routes(), "")
    return {"openapi": "3.1.0", "info": {"title": "console", "version": "1"}, "paths": paths}


def _operation(method: str, path: str, names: list[str]) -> dict[str, Any]:
    text = {"type": "string"}
    told = [{"name": name, "in": "path", "required": True, "schema": text} for name in names]
    codes = READS if method == "GET" or path.startswith("/sign-") else FORMS
    kinds = ("text/html", "text/plain", "application/json")
    content: dict[str, Any] = {"content": {kind: {} for kind in kinds}}
    operation: dict[str, Any] = {
        "responses": {
            code: {"description": code, **({} if code == "303" else content)} for code in codes
        }
    }
    if method == "GET":
        told += [{"name": name, "in": "query", "schema": text} for name in PARAMETERS]
    else:
        form = {"type": "object", "properties": dict.fromkeys(_FIELDS, text)}
        bodies = ("application/x-www-form-urlencoded", "multipart/form-data")
        operation["requestBody"] = {"content": {body: {"schema": form} for body in bodies}}
    return {**operation, "parameters": told}


def test_no_request_breaks_it_and_no_form_does_anything(
    address: str, database_url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    described = description()
    operations = sum(map(len, described["paths"].values()))
    assert operations > 25
    file = tmp_path / "console.json"
    file.write_text(json.dumps(described))
    before = counts(database_url)
    tried = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("schemathesis")), "--no-color", "run", str(file)),
            *("--url", address, "--checks", ",".join(CHECKS), "--continue-on-failure"),
            *("--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES_MAX)),
            *("--seed", str(SEED), "--mode", "all", "--warnings", "off"),
            *("--suppress-health-check", "all"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    with capfd.disabled():
        sys.stdout.write(f"\n{operations} operations, seed {SEED}\n{tried.stdout[-1_500:]}")
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert counts(database_url) == before
