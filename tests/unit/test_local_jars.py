"""What Kafka runs from is what the list says, and a warm start needs no network."""

import hashlib
import json
from pathlib import Path

import pytest
from jgo.maven import Artifact, PythonResolver

from ops.local import jars
from ops.local.jars import JarsUnavailableError, kafka_jars
from ops.local.progress import Step

RIGHT = b"the jar"


class Repository:
    """A repository of one jar, in place of the network."""

    def __init__(self) -> None:
        self.content, self.downloads = RIGHT, 0

    def download(self, artifact: Artifact) -> Path:
        self.downloads += 1
        path = artifact.cached_path
        assert path is not None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content)
        return path


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Repository:
    entry = {"group": "org.example", "name": "a", "version": "1", "bytes": len(RIGHT)}
    entry["sha256"] = hashlib.sha256(RIGHT).hexdigest()
    listed = tmp_path / "list.json"
    listed.write_text(json.dumps([entry]))
    repository = Repository()
    monkeypatch.setattr(jars, "_LIST", listed)
    monkeypatch.setattr(
        PythonResolver, "download", lambda _, artifact: repository.download(artifact)
    )
    monkeypatch.setenv("ESCROW_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("M2_REPO", str(tmp_path / "maven"))
    return repository


def test_the_second_start_fetches_nothing(repository: Repository) -> None:
    steps: list[Step] = []
    first = kafka_jars(steps.append)
    assert [path.read_bytes() for path in first] == [RIGHT]
    assert steps[0].bytes_total == len(RIGHT)
    assert kafka_jars() == first
    assert repository.downloads == 1


def test_a_jar_in_the_users_maven_repository_is_taken_from_there(
    repository: Repository, tmp_path: Path
) -> None:
    there = tmp_path / "maven" / "org" / "example" / "a" / "1" / "a-1.jar"
    there.parent.mkdir(parents=True)
    there.write_bytes(RIGHT)
    assert kafka_jars() == [there]
    assert repository.downloads == 0


def test_half_a_jar_in_the_cache_is_fetched_again(repository: Repository) -> None:
    (path,) = kafka_jars()
    path.write_bytes(RIGHT[:3])
    assert kafka_jars() == [path]
    assert path.read_bytes() == RIGHT


def test_a_jar_other_than_listed_is_refused_and_not_kept(repository: Repository) -> None:
    repository.content = b"another jar"
    with pytest.raises(JarsUnavailableError, match="expected"):
        kafka_jars()
    repository.content = RIGHT
    assert [path.read_bytes() for path in kafka_jars()] == [RIGHT]


def test_the_list_names_every_jar_of_kafka_once() -> None:
    listed = json.loads(jars._LIST.read_text())
    names = [(entry["group"], entry["name"]) for entry in listed]
    assert len(names) == len(set(names)) == 47
    assert {entry["version"] for entry in listed if entry["name"] == "kafka_2.13"} == {
        jars.KAFKA_VERSION
    }
