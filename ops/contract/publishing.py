"""The published files are what the code says: made whole, never edited, compared by a test.

`released.json` alone is older: the contract of the last release, which no change may break.
"""

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from ops.contract.asyncapi import document
from ops.contract.compatibility import contract
from ops.contract.json_schemas import closed, opened
from ops.contract.messages import MESSAGES
from ops.contract.pages import html_page, index_page, type_page

FOLDER: Final = Path(__file__).parents[2] / "docs" / "contract"
RELEASED: Final = "released.json"
_FLAT_LIST: Final = re.compile(r'\[\s+((?:"[^"\n]*"|-?\d+)(?:,\s+(?:"[^"\n]*"|-?\d+))*)\s+\]')
_SPACES: Final = re.compile(r"[ \n]+")


def files() -> dict[str, str]:
    """Path below the folder → text, of everything but the last release."""
    made = {
        "README.md": index_page(),
        "index.html": html_page(),
        "asyncapi.json": pretty(document()),
    }
    for name in MESSAGES:
        made[f"types/{name}.md"] = type_page(name)
        made[f"schemas/{name}.json"] = pretty(closed(name))
        made[f"schemas/{name}.reader.json"] = pretty(opened(name))
    return made


def publish(folder: Path) -> list[str]:
    """Write what differs, take away what is no more; returns the paths that changed."""
    made = files()
    changed = differing(folder, made)
    for name in changed:
        path = folder / name
        if name not in made:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made[name], encoding="utf-8")
    return changed


def differing(folder: Path, made: dict[str, str]) -> list[str]:
    """Paths that are missing, stale, or no part of the contract any more."""
    there = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file() and path.name != RELEASED
    }
    return sorted(name for name in there.keys() | made.keys() if there.get(name) != made.get(name))


def release(folder: Path) -> Path:
    """Make the present contract the one that no later change may break."""
    path = folder / RELEASED
    text = pretty({"version": version("escrow-pipeline"), **contract()})
    path.write_text(text, encoding="utf-8")
    return path


def released(path: Path) -> dict[str, Any]:
    """The contract of the last release. Raises OSError, or ValueError for what is none."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or not {"topics", "types"} <= found.keys():
        raise ValueError(f"{path} is not a released contract")
    return found


def pretty(value: Any) -> str:
    """JSON for people and for diffs: lists of plain values on one line."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return _FLAT_LIST.sub(lambda m: f"[{_SPACES.sub(' ', m[1])}]", text) + "\n"
