"""The release before works on the new schema, turn by turn with the new one, as during a rolling upgrade.

Not part of `make test`: `make upgrade`. Its code comes out of the repository's history, from before the
last migration; a clone without history fails and says so.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import NullPool, create_engine

from consumers.engine.config import Settings
from ops.audit import run_audit
from ops.record_lines import read_records
from ops.simulate import simulate
from tests.builders import T0
from tests.conftest import SEED
from tests.integration.filled import STAGE_OF, Filler
from tests.integration.test_batch_equals_dry_run import orders_of
from tests.model.generator import generate

ROOT: Final = Path(__file__).parents[2]
MIGRATIONS: Final = "storage/migrations/versions"
PIECES: Final = 8
# The older release's own stages; its migrations do not know the schema that is there, so it runs none.
OLD_STAGES: Final = """
import json, sys
import storage
import tests.integration.filled as filled
assert storage.__file__.startswith(sys.argv[3]), storage.__file__
filled.upgrade = lambda url: None
filler = filled.Filler(sys.argv[1], json.loads(sys.argv[2]))
filler.lines(sys.stdin.buffer.read())
print(json.dumps(filler._offsets))
"""


def git(*arguments: str) -> bytes:
    asked = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    if asked.returncode or not asked.stdout.strip():
        pytest.fail(
            f"this clone has no history to take the release before from: git {arguments[0]}"
            f" said {asked.stderr.decode().strip() or 'nothing'}; try git fetch --unshallow"
        )
    return asked.stdout


@pytest.fixture
def release_before(tmp_path: Path) -> Path:
    """The code as it was before the last migration."""
    added = ("--diff-filter=A", "--format=%H")  # words of a migration may change later
    newest = git("log", "-1", *added, "--", MIGRATIONS).decode().strip()
    code = tmp_path / "before"
    code.mkdir()
    subprocess.run(["tar", "-x", "-C", code], input=git("archive", f"{newest}^"), check=True)
    there = {path.name for path in (code / MIGRATIONS).glob("*.py")}
    assert there < {path.name for path in (ROOT / MIGRATIONS).glob("*.py")}
    return code


def decided_by(code: Path, url: str, offsets: dict[str, int], lines: list[bytes]) -> dict[str, int]:
    """The older release decides these; returns how far it has read."""
    environment = {**os.environ, "PYTHONPATH": str(code)}
    arguments = (sys.executable, "-c", OLD_STAGES, url, json.dumps(offsets), str(code))
    asked = subprocess.run(
        arguments,
        cwd=code,
        env=environment,
        input=b"\n".join(lines),
        capture_output=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr.decode()[-2_000:]
    found: dict[str, int] = json.loads(asked.stdout)
    return found


def test_two_releases_decide_as_one(
    database_url: str, settings: Settings, release_before: Path
) -> None:
    seed = SEED % 1_000_000
    content, _ = generate(seed, orders=8, facts_per_order=24, hostility=0.2)
    lines = [line for line in content.split(b"\n") if line.strip(b" \t\r")]
    kept = [line for line, r in zip(lines, read_records(lines), strict=True) if r.topic in STAGE_OF]
    offsets: dict[str, int] = {}
    for piece in range(PIECES):
        part = kept[len(kept) * piece // PIECES : len(kept) * (piece + 1) // PIECES]
        if piece % 2:
            offsets = decided_by(release_before, database_url, offsets, part)
        else:
            filler = Filler(database_url, offsets)
            filler.lines(b"\n".join(part))
            offsets = dict(filler._offsets)
    _, orders = simulate(kept)
    engine = create_engine(database_url, poolclass=NullPool)
    assert orders_of(engine) == orders, f"seed {seed}"
    assert run_audit(settings, T0).findings == [], f"seed {seed}"
