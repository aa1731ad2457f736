"""The real thing: an API server of Kubernetes, spoken to through the official client.

``cluster`` is the adapter, and ``client`` the only module that imports ``kubernetes``; beside them,
each in a module of its own: which context is meant, credentials, exec plugins, transport, retries,
the rate limit, paging, ownership of fields, and what the server's errors mean.
"""

from __future__ import annotations

from django_userpods.clusters.kubernetes.cluster import KubernetesCluster

__all__ = ["KubernetesCluster"]
