"""The examples in other languages, each where its runtime is there: `make examples`. They load what they need.

And the conformance kit over Kafka, all of it, on a broker of its own.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from consumers.engine.config import Settings
from tests.integration.example_line import EXAMPLES, pays_out, working_line

pytestmark = pytest.mark.timeout(400)
SIGNED: Final = {
    "what_the_relay_has_not_signed_moves_nothing",
    "what_was_altered_after_signing_moves_nothing",
}
SIMULATOR: Final = """
program = "escrow gateway --data {data}"
payments = "python tests/integration/simulator_paid.py {data}"
signed = true
[amounts]
refuses_for_now = 19901
refuses_for_good = 19910
silent_before = 19920
silent_after = 19921
comes_back = 19950
"""
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


@pytest.mark.parametrize("signed", [False, True], ids=["adapter to copy", "simulator"])
def test_the_kit_is_kept_over_kafka(signed: bool, tmp_path: Path) -> None:
    kit = EXAMPLES / "http_gateway" / "conformance.toml"
    if signed:
        kit = tmp_path / "simulator.toml"
        kit.write_text(SIMULATOR, encoding="utf-8")
    escrow = Path(sys.executable).with_name("escrow")
    ended = subprocess.run(
        [str(escrow), "conformance", "gateway", "--kit", str(kit), "--json"],
        cwd=EXAMPLES.parent,
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = {one["check"]: one["verdict"] for one in json.loads(ended.stdout)}
    assert {check for check, verdict in found.items() if verdict != "kept"} == (
        set() if signed else SIGNED
    )
