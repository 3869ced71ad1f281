"""`escrow manifests`: the line as Kubernetes objects, for `kubectl apply`; nothing is contacted."""

from typing import Annotated

import typer

from ops.cli import terminal


def manifests(
    image: Annotated[str, typer.Option(help="The container image, best by digest.")],
    bootstrap_servers: Annotated[str, typer.Option(help="Kafka: host:port, more with commas.")],
    namespace: Annotated[str, typer.Option(help="Where the objects live.")] = "escrow",
    group_prefix: Annotated[str, typer.Option(help="Of the consumer groups.")] = "escrow",
) -> None:
    """Print Kubernetes objects as JSON: a deployment a process, budgets, scaling by lag (KEDA).

    Secrets are named, not written: docs/kubernetes.md says which ones must be there.
    """
    from ops.kubernetes import Cluster
    from ops.kubernetes import manifests as made

    cluster = Cluster(image, bootstrap_servers, namespace, group_prefix)
    terminal.print_json(made(cluster))
