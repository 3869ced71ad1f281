"""The line as Kubernetes objects: a deployment a process, scaled by its own lag, never all down at once.

Plain values, made from the program's own catalogues: a stage that is added is in here. Secrets are
named, never written; every process has its own, with its own rights (`escrow db roles`).
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from consumers.stages import STAGES
from schemas.topics import TOPICS

Object = dict[str, Any]

NAME: Final = "escrow"
METRICS_PORT: Final = 9_100
FILES: Final = "/etc/escrow"  # what the secret `escrow-files` holds
OWN_FILES: Final = "/etc/escrow-own"  # what the process's own secret holds, where it needs a file
SIGNING_KEY: Final = "signing-key.json"
SIGNERS: Final = ("relay",)  # outside the profile local it does not start without a key
# A stage decides 1,800 facts/s beside two others on two cores (docs/performance.md). Ten seconds of
# work is what `escrow lag` calls slow: then another worker comes.
RECORDS_A_WORKER: Final = 18_000
MEMORY_MAX: Final = "1536Mi"  # whatever is sent to a worker
GRACE_SECONDS: Final = 45  # the batch in hand, and leaving the group

_COMMON: Final = {
    "ESCROW_PROFILE": "production",
    "ESCROW_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
    "ESCROW_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
    "ESCROW_KAFKA__SSL_CAFILE": f"{FILES}/kafka-ca.pem",
    "ESCROW_SOURCE_RULES": f"{FILES}/source-rules.json",
    "ESCROW_SIGNING__KEYS_FILE": f"{FILES}/keys.json",
    "ESCROW_METRICS_HOST": "0.0.0.0",  # noqa: S104  inside its pod
    "ESCROW_METRICS_PORT": str(METRICS_PORT),
}


class Cluster(NamedTuple):
    """What differs from one cluster to another."""

    image: str
    bootstrap_servers: str
    namespace: str = "escrow"
    group_prefix: str = "escrow"


class Process(NamedTuple):
    """One deployment."""

    name: str
    args: tuple[str, ...]
    replicas: int
    topic: str | None = None  # of a stage: its lag says how many workers there are


def processes() -> Iterator[Process]:
    """Everything that runs for ever: each stage, relay and ticker with one that stands by, metrics."""
    for stage in STAGES.values():
        yield Process(stage.name, ("consume", stage.name), 2, stage.topic)
    yield Process("relay", ("relay",), 2)
    yield Process("ticker", ("ticker",), 2)
    yield Process("metrics", ("metrics",), 1)


def manifests(cluster: Cluster) -> Object:
    """All objects as one list, for `kubectl apply -f -`."""
    items: list[Object] = [_config(cluster), _account(cluster), _kafka_login(cluster)]
    for process in processes():
        items.append(_deployment(cluster, process))
        if process.replicas > 1:
            items.append(_budget(cluster, process))
        if process.topic is not None:
            items.append(_scaler(cluster, process, process.topic))
    return {"apiVersion": "v1", "kind": "List", "items": items}


def environment(cluster: Cluster) -> dict[str, str]:
    """What all processes are told alike."""
    return {
        **_COMMON,
        "ESCROW_KAFKA__BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
        "ESCROW_KAFKA__GROUP_PREFIX": cluster.group_prefix,
    }


def _object(cluster: Cluster, kind: str, name: str, version: str = "v1", **rest: Any) -> Object:
    labels = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": name}
    metadata = {"name": _name(name), "namespace": cluster.namespace, "labels": labels}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def _name(process: str) -> str:
    """Names in Kubernetes have no underscores."""
    return NAME if process == NAME else f"{NAME}-{process.replace('_', '-')}"


def _config(cluster: Cluster) -> Object:
    return _object(cluster, "ConfigMap", NAME, data=environment(cluster))


def _account(cluster: Cluster) -> Object:
    """Nobody here asks Kubernetes anything."""
    return _object(cluster, "ServiceAccount", NAME, automountServiceAccountToken=False)


def _deployment(cluster: Cluster, process: Process) -> Object:
    labels = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": process.name}
    scrape = {"prometheus.io/scrape": "true", "prometheus.io/port": str(METRICS_PORT)}
    spec: Object = {
        "selector": {"matchLabels": labels},
        # one at a time: each that leaves or comes makes its group share out partitions anew
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "minReadySeconds": 10,
        "template": {
            "metadata": {"labels": labels, "annotations": scrape},
            "spec": _pod(cluster, process, labels),
        },
    }
    if process.topic is None:  # else the scaler says how many
        spec["replicas"] = process.replicas
    return _object(cluster, "Deployment", process.name, "apps/v1", spec=spec)


def _pod(cluster: Cluster, process: Process, labels: dict[str, str]) -> Object:
    return {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": labels},
            }
        ],
        "containers": [_container(cluster, process)],
        "volumes": [
            {"name": "files", "secret": {"secretName": f"{NAME}-files"}},
            *([_own_files(process)] if process.name in SIGNERS else []),
        ],
    }


def _container(cluster: Cluster, process: Process) -> Object:
    secret = _name(process.name)
    return {
        "name": NAME,
        "image": cluster.image,
        "args": list(process.args),
        "envFrom": [{"configMapRef": {"name": NAME}}],
        "env": [
            _secret("ESCROW_DATABASE__URL", secret, "database-url"),
            _secret("ESCROW_KAFKA__SASL_USERNAME", secret, "kafka-username"),
            _secret("ESCROW_KAFKA__SASL_PASSWORD", secret, "kafka-password"),
            *([_KEY_VARIABLE] if process.name in SIGNERS else []),
        ],
        "ports": [{"name": "metrics", "containerPort": METRICS_PORT}],
        "livenessProbe": _probe("/livez", period=10, failures=6),
        "readinessProbe": _probe("/readyz", period=5, failures=3),
        "resources": {
            "requests": {"cpu": "250m", "memory": "256Mi"},
            "limits": {"memory": MEMORY_MAX},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "files", "mountPath": FILES, "readOnly": True},
            *([_OWN_MOUNT] if process.name in SIGNERS else []),
        ],
    }


_KEY_VARIABLE: Final = {
    "name": "ESCROW_SIGNING__PRIVATE_KEY_FILE",
    "value": f"{OWN_FILES}/{SIGNING_KEY}",
}
_OWN_MOUNT: Final = {"name": "own", "mountPath": OWN_FILES, "readOnly": True}


def _own_files(process: Process) -> Object:
    items = [{"key": SIGNING_KEY, "path": SIGNING_KEY}]
    return {"name": "own", "secret": {"secretName": _name(process.name), "items": items}}


def _secret(variable: str, name: str, key: str) -> Object:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def _probe(path: str, *, period: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": "metrics"},
        "periodSeconds": period,
        "timeoutSeconds": 3,
        "failureThreshold": failures,
        "initialDelaySeconds": 5,
    }


def _budget(cluster: Cluster, process: Process) -> Object:
    labels = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": process.name}
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": labels}}
    return _object(cluster, "PodDisruptionBudget", process.name, "policy/v1", spec=spec)


def _kafka_login(cluster: Cluster) -> Object:
    """Whoever looks at the lag logs in as the metrics do: it may read offsets, and nothing else."""
    parameters = (("username", "kafka-username"), ("password", "kafka-password"))
    refs = [
        {"parameter": parameter, "name": _name("metrics"), "key": key}
        for parameter, key in parameters
    ]
    refs.append({"parameter": "ca", "name": f"{NAME}-files", "key": "kafka-ca.pem"})
    spec = {"secretTargetRef": refs}
    return _object(cluster, "TriggerAuthentication", NAME, "keda.sh/v1alpha1", spec=spec)


def _scaler(cluster: Cluster, process: Process, topic: str) -> Object:
    partitions = next(known.partitions for known in TOPICS if known.name == topic)
    trigger = {
        "type": "kafka",
        "metadata": {
            "bootstrapServers": cluster.bootstrap_servers,
            "consumerGroup": f"{cluster.group_prefix}.{process.name}",
            "topic": topic,
            "lagThreshold": str(RECORDS_A_WORKER),
            "offsetResetPolicy": "earliest",
            "sasl": "scram_sha512",
            "tls": "enable",
        },
        "authenticationRef": {"name": NAME},
    }
    spec = {
        "scaleTargetRef": {"name": _name(process.name)},
        "minReplicaCount": process.replicas,
        "maxReplicaCount": max(partitions, process.replicas),  # more would have nothing to read
        "cooldownPeriod": 600,
        "triggers": [trigger],
    }
    return _object(cluster, "ScaledObject", process.name, "keda.sh/v1alpha1", spec=spec)
