"""Programs that are not ours and that tests run: on the PATH, or unpacked by `make debian`."""

import os
import shutil
from pathlib import Path

import pytest

UNPACKED = Path(__file__).parents[1] / ".debian" / "usr" / "bin"


def program(name: str) -> str:
    """Where it is. In CI it must be there; elsewhere the test that needs it says that it was skipped."""
    found = shutil.which(name, path=f"{UNPACKED}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        said = f"there is no {name}: `make debian` unpacks it (on Debian)"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)
    return found
