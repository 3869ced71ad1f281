"""What the program is made of, as CycloneDX 1.6 and as a list of licences: every pinned package and every jar.

Made from the lock file, so nothing that is installed can be missing; the same input gives the same
bytes. `make sbom` writes both.
"""

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
LOCK: Final = ROOT / "requirements" / "runtime.txt"
JARS: Final = tuple(ROOT / "ops" / "local" / f"{name}.jars.json" for name in ("kafka", "postgres"))
UNKNOWN: Final = "not said"

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(\[[^\]]*\])?==(?P<version>[^ ;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_CLASSIFIER: Final = "License :: OSI Approved :: "


class Part(NamedTuple):
    """One thing that others have made."""

    purl: str
    name: str
    version: str
    sha256: tuple[str, ...]  # of each file that may stand for it
    licence: str


def parts() -> list[Part]:
    """All of them, by name."""
    return sorted([*_packages(), *_jars()], key=lambda part: (part.purl.split("/")[0], part.name))


def sbom(found: list[Part]) -> dict[str, Any]:
    """The CycloneDX document."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": "escrow-pipeline",
                "version": version("escrow-pipeline"),
            }
        },
        "components": [_component(part) for part in found],
    }


def licences(found: list[Part]) -> str:
    """A table for people."""
    lines = ["# Licences of what the program is made of", "", "| part | version | licence |"]
    lines += ["|---|---|---|", *(f"| {p.name} | {p.version} | {p.licence} |" for p in found)]
    return "\n".join(lines) + "\n"


def write(folder: Path) -> list[Path]:
    """Both files; returns where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    found = parts()
    paths = [folder / "sbom.cdx.json", folder / "licences.md"]
    paths[0].write_text(json.dumps(sbom(found), indent=1) + "\n", encoding="utf-8")
    paths[1].write_text(licences(found), encoding="utf-8")
    return paths


def _component(part: Part) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": part.purl,
        "name": part.name,
        "version": part.version,
        "purl": part.purl,
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in part.sha256],
        "licenses": [{"license": {"name": part.licence}}],
    }


def _packages() -> Iterator[Part]:
    """A pin begins at the line's first column; its hashes follow, indented."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    starts = [at for at, line in enumerate(lines) if _PIN.match(line)]
    for at, until in zip(starts, [*starts[1:], len(lines)], strict=True):
        pin = _PIN.match(lines[at])
        assert pin is not None
        name, pinned = pin["name"], pin["version"]
        digests = tuple(_HASH.findall("\n".join(lines[at:until])))
        assert digests, f"{name} is pinned without a digest"
        yield Part(f"pkg:pypi/{name}@{pinned}", name, pinned, digests, _licence(name))


def _jars() -> Iterator[Part]:
    for path in JARS:
        for jar in json.loads(path.read_text(encoding="utf-8")):
            group, name, found = jar["group"], jar["name"], jar["version"]
            purl = f"pkg:maven/{group}/{name}@{found}"
            yield Part(purl, name, found, (jar["sha256"],), _JAR_LICENCES.get(group, _APACHE))


_APACHE: Final = "Apache-2.0"
# Of those that are not Apache's, by group.
_JAR_LICENCES: Final = {
    "org.slf4j": "MIT",
    "net.sf.jopt-simple": "MIT",
    "net.sourceforge.argparse4j": "MIT",
    "com.google.re2j": "BSD-3-Clause",
    "com.github.luben": "BSD-2-Clause",
    "org.hdrhistogram": "BSD-2-Clause OR CC0-1.0",
    "org.pcollections": "MIT",
    "io.zonky.test.postgres": "PostgreSQL",
}


def _licence(name: str) -> str:
    """As its makers say: an expression, else their classifiers, else their own words."""
    try:
        said: dict[str, Any] = distribution(name).metadata.json
    except PackageNotFoundError:
        return f"{UNKNOWN}: for other systems than this one"
    if expression := said.get("license_expression"):
        return str(expression)
    classified = [
        text.removeprefix(_CLASSIFIER).removeprefix("License :: ")
        for text in said.get("classifier") or ()
        if text.startswith("License ::")
    ]
    words = (said.get("license") or "").strip().splitlines()
    return " AND ".join(classified) or (words[0][:80] if words else UNKNOWN)


if __name__ == "__main__":
    for made in write(Path(sys.argv[1])):
        sys.stdout.write(f"{made}\n")
