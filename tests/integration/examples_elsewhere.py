"""The examples in other languages, each where its runtime is there: `make examples`. They load what they need."""

import shutil
import subprocess
from pathlib import Path

import pytest

from consumers.engine.config import Settings
from tests.integration.example_line import EXAMPLES, pays_out, working_line

pytestmark = pytest.mark.timeout(400)
MAVEN = ["mvn", "-q", "-B", "compile", "exec:java", "-Dexec.args=ORDER"]


@pytest.mark.parametrize(
    ("language", "needs", "prepare", "run"),
    [
        ("java", ["mvn", "java"], None, MAVEN),
        (
            "node",
            ["node", "npm"],
            ["npm", "ci", "--ignore-scripts"],
            ["node", "client.mjs", "ORDER"],
        ),
        ("go", ["go"], ["go", "build", "-o", "client", "."], ["./client", "ORDER"]),
        ("kcat", ["kcat", "jq", "bash"], None, ["bash", "client.sh", "ORDER"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_client_is_paid_in_and_out(
    kafka: str,
    settings: Settings,
    tmp_path: Path,
    language: str,
    needs: list[str],
    prepare: list[str] | None,
    run: list[str],
) -> None:
    missing = [program for program in needs if shutil.which(program) is None]
    if missing:
        pytest.skip(reason=f"{language}: there is no {', '.join(missing)} on this machine")
    folder = tmp_path / language
    shutil.copytree(EXAMPLES / language, folder)
    if prepare is not None:
        made = subprocess.run(prepare, cwd=folder, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stdout + made.stderr
    with working_line(settings) as db:
        pays_out(db, kafka, run, folder)
