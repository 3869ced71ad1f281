"""Jars of the embedded servers: exactly those of our lists, each with the SHA-256 written there, or none.

They are fetched once into a cache of our own (a Maven repository on this machine is read first) and
checked at every use. Run this module to write the list anew after `KAFKA` changes.
"""

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import jgo
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import Artifact, MavenContext, PythonResolver

from ops.local.progress import Report, Step, silent

KAFKA_VERSION: Final = "4.3.0"
KAFKA: Final = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-reload4j:1.7.36"

_LIST = Path(__file__).with_name("kafka.jars.json")
_DOWNLOADS_AT_ONCE = 8
_TIMEOUT_SECONDS = 60


class Jar(NamedTuple):
    group: str
    name: str
    version: str
    sha256: str
    bytes: int


class JarsUnavailableError(RuntimeError):
    """A jar could not be fetched, or what came is not what the list says."""


def kafka_jars(report: Report = silent) -> list[Path]:
    """The files for Java's class path. Needs the network only for jars that are not in the cache yet."""
    jars = [Jar(**entry) for entry in json.loads(_LIST.read_text())]
    return fetched(jars, f"Apache Kafka {KAFKA_VERSION}", report)


def fetched(jars: list[Jar], what: str, report: Report) -> list[Path]:
    """The files of these jars, from the cache or the network. Raises JarsUnavailableError."""
    cache = cache_folder() / "jars"
    cache.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(cache):
        found = {jar: path for jar in jars if (path := _cached(jar, cache))}
        missing = [jar for jar in jars if jar not in found]
        if missing:
            found |= zip(missing, _download(missing, cache, what, report), strict=True)
    return [found[jar] for jar in jars]


def cache_folder() -> Path:
    """Where what was fetched stays: `ESCROW_CACHE_DIR`, else `escrow` in the user's cache folder."""
    if given := os.environ.get("ESCROW_CACHE_DIR"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "escrow"


def _cached(jar: Jar, cache: Path) -> Path | None:
    settings = GlobalSettings.load()
    for folder in (cache, settings.repo_cache):
        path = _artifact(jar, _maven(folder)).cached_path
        if path is not None and path.exists() and _sha256(path) == jar.sha256:
            return path
    return None


def _download(jars: list[Jar], cache: Path, what: str, report: Report) -> Iterable[Path]:
    bytes_total = sum(jar.bytes for jar in jars)
    counted = threading.Lock()
    bytes_done = 0
    text = f"fetching {what}"
    report(Step(text, 0, bytes_total))

    def arrived(count: int) -> None:
        nonlocal bytes_done
        with counted:
            bytes_done += count
            report(Step(text, bytes_done, bytes_total))

    @contextmanager
    def counting(_name: str, _bytes_total: int) -> Iterator[Callable[[int], None]]:
        yield arrived

    maven = _maven(cache, PythonResolver(progress_callback=counting))
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        return list(pool.map(lambda jar: _fetch(jar, maven), jars))


def _fetch(jar: Jar, maven: MavenContext) -> Path:
    artifact = _artifact(jar, maven)
    if artifact.cached_path is not None:
        artifact.cached_path.unlink(missing_ok=True)  # half a file, from a run that was killed
    try:
        path = Path(artifact.resolve())
    except (OSError, RuntimeError) as error:
        raise JarsUnavailableError(
            f"{jar.name} {jar.version} could not be fetched: {error}. The first start needs the network; "
            "or set ESCROW_KAFKA__BOOTSTRAP_SERVERS and ESCROW_DATABASE__URL to servers that run already."
        ) from error
    if (got := _sha256(path)) != jar.sha256:
        path.unlink()
        raise JarsUnavailableError(f"{path.name} has SHA-256 {got}, expected {jar.sha256}")
    return path


def _maven(folder: Path, resolver: PythonResolver | None = None) -> MavenContext:
    """The user's own repositories (jgo's settings file) come before the central one."""
    repositories = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    return MavenContext(
        resolver=resolver, repo_cache=folder, remote_repos=repositories, timeout=_TIMEOUT_SECONDS
    )


def _artifact(jar: Jar, maven: MavenContext) -> Artifact:
    return maven.project(jar.group, jar.name).at_version(jar.version).artifact()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Two stacks that start at once do not write the same files."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_list() -> None:
    """Resolve `KAFKA` anew, fetch everything, write down what came."""
    entries = []
    for artifact in jgo.resolve(KAFKA):
        path = Path(artifact.resolve())
        jar = Jar(
            group=artifact.groupId,
            name=artifact.artifactId,
            version=artifact.version,
            sha256=_sha256(path),
            bytes=path.stat().st_size,
        )
        entries.append(jar._asdict())
    _LIST.write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    write_list()
