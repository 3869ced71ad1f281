"""What is known of each mutant, kept between runs, and what it comes to."""

import json
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from tests.mutation.mutants import ROOT
from tests.mutation.packages import Package
from tests.mutation.suite import Reach

KEPT: Final = ROOT / ".mutation"
PRODUCT: Final = ("schemas", "escrow")
TESTS: Final = ("tests/unit", "tests/model")
SHARED: Final = ("tests/builders.py", "tests/conftest.py")


class Found:
    """Verdicts by the mutant's key: the test that failed, or nothing for one that survives.

    One that is killed stays so while product, shared code of tests and the file of that test are the
    same; any other verdict is forgotten as soon as any test changes.
    """

    def __init__(self, package: Package, *, fresh: bool) -> None:
        shared = [ROOT / name for name in SHARED]
        shared += (file for file in _files(*PRODUCT, *TESTS) if not file.name.startswith("test_"))
        self.ground = _digest(shared)
        self.whole = _digest([*shared, *_files(*TESTS)])
        self.known: dict[str, str] = {}
        self.hints: dict[str, str] = {}
        self._file = KEPT / f"{package.name}.jsonl"
        self._reach_file = KEPT / f"{package.name}.reach.{self.whole}.json"
        self.read()
        if fresh and self.known:
            self.known.clear()
            self._file.unlink()

    def read(self) -> None:
        """Take over what was kept, by whatever process."""
        if self._file.exists():
            for line in self._file.read_text().splitlines():
                key, by, digest = json.loads(line)
                self.hints[key] = by
                if digest == self.digest(by):
                    self.known[key] = by

    def add(self, key: str, by: str) -> None:
        """Keep one verdict, now."""
        self.known[key] = by
        KEPT.mkdir(exist_ok=True)
        with self._file.open("a") as file:
            file.write(json.dumps([key, by, self.digest(by)], ensure_ascii=False) + "\n")

    def digest(self, by: str) -> str:
        """Of all that a verdict depends on."""
        file = by.partition("::")[0]
        return f"{self.ground}.{_digest_of(file)}" if file.endswith(".py") else self.whole

    @property
    def reach(self) -> Reach | None:
        """What each test reaches, if it was measured on this very code."""
        if not self._reach_file.exists():
            return None
        seconds, by_line = json.loads(self._reach_file.read_text())
        return seconds, by_line

    def keep_reach(self, reach: Reach) -> None:
        KEPT.mkdir(exist_ok=True)
        for old in KEPT.glob(f"{self._file.stem}.reach.*"):
            old.unlink()
        self._reach_file.write_text(json.dumps(reach))


def _files(*folders: str) -> list[Path]:
    files = (file for folder in folders for file in (ROOT / folder).rglob("*"))
    return [file for file in files if file.suffix in (".py", ".json", ".txt", ".csv")]


def _digest(files: Iterable[Path]) -> str:
    said = sha256()
    for file in sorted(set(files)):
        said.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes() + b"\0")
    return said.hexdigest()[:16]


@cache
def _digest_of(name: str) -> str:
    return _digest([ROOT / name]) if (ROOT / name).exists() else "gone"
