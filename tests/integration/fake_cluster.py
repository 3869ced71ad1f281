"""As much of a Kubernetes API server as `kubectl apply` asks for: it takes what is sent to an address that such a kind has.

No schema is looked at: tests/unit/test_kubernetes.py does. Loopback only, nobody logs in.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

# Group and version → what it has: plural, kind. All of them live in a namespace.
KINDS: Final = {
    "v1": {"configmaps": "ConfigMap", "serviceaccounts": "ServiceAccount"},
    "apps/v1": {"deployments": "Deployment"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "keda.sh/v1alpha1": {
        "scaledobjects": "ScaledObject",
        "triggerauthentications": "TriggerAuthentication",
    },
}
_VERBS: Final = ("create", "get", "list", "patch")
_NO_RULES: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


class Cluster(ThreadingHTTPServer):
    """Keeps objects by their address."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, Any] = {}
        self.changed: list[str] = []

    def kubeconfig(self, folder: Path) -> Path:
        """What makes `kubectl` speak to it."""
        named = {
            "clusters": [
                {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.server_port}"}}
            ],
            "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        }
        path = folder / "kubeconfig"
        path.write_text(
            json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "c", **named})
        )
        return path


@contextmanager
def a_cluster() -> Iterator[Cluster]:
    with Cluster() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Cluster
    protocol_version = "HTTP/1.1"

    @override
    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/openapi/v2":
            self._answer(200, b"", _NO_RULES)
        elif (known := _discovered(path)) is not None:
            self._say(200, known)
        elif path in self.server.objects:
            self._say(200, self.server.objects[path])
        else:
            self._refuse(404, "NotFound")

    def do_POST(self) -> None:
        path, body = self.path.partition("?")[0], self._body()
        there = f"{path}/{body['metadata']['name']}"
        if path != _folder(body):
            self._refuse(400, "BadRequest")
        elif there in self.server.objects:
            self._refuse(409, "AlreadyExists")
        else:
            self.server.objects[there] = body
            self._say(201, body)

    def do_PATCH(self) -> None:
        """No list of ours is merged by its elements' names: a merge of objects says it."""
        path, patch = self.path.partition("?")[0], self._body()
        old = self.server.objects[path]
        self.server.objects[path] = new = _merged(old, patch)
        if new != old:
            self.server.changed.append(path)
        self._say(200, new)

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["content-length"])))

    def _refuse(self, code: int, reason: str) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {}}
        self._say(code, status | {"reason": reason, "code": code, "message": reason})

    def _say(self, code: int, what: Any) -> None:
        self._answer(code, json.dumps(what).encode(), "application/json")

    def _answer(self, code: int, body: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _merged(old: Any, patch: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(patch, dict)):
        return patch
    return old | {name: _merged(old.get(name), value) for name, value in patch.items()}


def _folder(item: Any) -> str:
    """Where objects of this kind are made; empty: there is no such kind."""
    version = item["apiVersion"]
    plurals = [name for name, kind in KINDS.get(version, {}).items() if kind == item["kind"]]
    root = "apis" if "/" in version else "api"
    namespace = item["metadata"]["namespace"]
    return f"/{root}/{version}/namespaces/{namespace}/{plurals[0]}" if plurals else ""


def _discovered(path: str) -> Any:
    """What the server says about itself."""
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = [version.split("/") for version in KINDS if "/" in version]
        return {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [
                {"name": group, "versions": [each], "preferredVersion": each}
                for group, version in groups
                for each in ({"groupVersion": f"{group}/{version}", "version": version},)
            ],
        }
    root, _, version = path.removeprefix("/").partition("/")
    if root not in ("api", "apis") or version not in KINDS:
        return None
    resources = [
        {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": _VERBS}
        for name, kind in KINDS[version].items()
    ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": resources,
    }
