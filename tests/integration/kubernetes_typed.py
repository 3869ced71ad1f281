"""`make kubernetes`: docs/kubernetes.md typed with a real `kubectl`, against a server of ours that takes what it sends.

And every object of Kubernetes' own is held against Kubernetes' own schema (requirements/kubernetes.txt).
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import kubernetes_validate
import pytest

from ops.local.processes import escrow
from tests.debian import program
from tests.integration.fake_cluster import KINDS, a_cluster

PAGE: Final = Path(__file__).parents[2] / "docs" / "kubernetes.md"
SCHEMAS: Final = "1.30"
IMAGE: Final = "registry.example/escrow@sha256:1"


@pytest.fixture
def lines() -> list[str]:
    (block,) = re.findall(
        r"^```\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [str(line).replace("REGISTRY/escrow@sha256:...", IMAGE) for line in block.splitlines()]


@pytest.fixture
def listed(lines: list[str], tmp_path: Path) -> list[Any]:
    """The first line has been typed: the objects."""
    words, _, file = lines[0].partition(" > ")
    made = subprocess.run(escrow(*words.split()[1:]), capture_output=True, check=True)
    (tmp_path / file).write_bytes(made.stdout)
    items: list[Any] = json.loads(made.stdout)["items"]
    return items


def test_kubectl_makes_every_object_and_then_has_nothing_left_to_do(
    lines: list[str], listed: list[Any], tmp_path: Path
) -> None:
    assert len(lines) == 2
    assert lines[1].startswith("kubectl apply ")
    with a_cluster() as cluster:
        env = {**os.environ, "HOME": str(tmp_path), "KUBECONFIG": str(cluster.kubeconfig(tmp_path))}
        said = []
        for _ in range(2):
            words = [program("kubectl"), *lines[1].split()[1:]]
            done = subprocess.run(
                words, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            said.append(done.stdout.splitlines())
        assert [line.rpartition(" ")[2] for line in said[0]] == ["created"] * len(listed)
        assert len(said[1]) == len(listed)
        assert cluster.changed == []
        sent = [_without_notes(item) for item in cluster.objects.values()]
    assert sorted(sent, key=_named) == sorted(listed, key=_named)


def _named(item: Any) -> tuple[str, str]:
    return item["kind"], item["metadata"]["name"]


def _without_notes(item: Any) -> Any:
    """What kubectl remembers of the file for the next time."""
    notes = item["metadata"].pop("annotations")
    assert notes.keys() == {"kubectl.kubernetes.io/last-applied-configuration"}
    return item


def test_what_is_kubernetes_own_is_what_its_schemas_allow(listed: list[Any]) -> None:
    foreign = {
        kind for version, kinds in KINDS.items() if "keda" in version for kind in kinds.values()
    }
    ours = [item for item in listed if item["kind"] not in foreign]
    assert {item["kind"] for item in ours} == {
        *("ConfigMap", "ServiceAccount", "Deployment", "PodDisruptionBudget"),
    }
    for item in ours:
        kubernetes_validate.validate(item, SCHEMAS, strict=True)


def test_the_schemas_find_what_is_wrong(listed: list[Any]) -> None:
    wrong = next(item for item in listed if item["kind"] == "Deployment")
    wrong["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError, match="imagePullPolice"):
        kubernetes_validate.validate(wrong, SCHEMAS, strict=True)
