"""Which API server is meant, which can be told without connecting or reading credentials."""

from __future__ import annotations

import os

from django_userpods.clusters.kubernetes import kubeconfig
from django_userpods.exceptions import ClusterConfigurationError

_HOST, _PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"


def whereabouts(*, file: str | None, context: str | None) -> str:
    """Return which API server is meant, and why it is that one, without connecting.

    Raises ClusterConfigurationError where none is.
    """
    if in_pod(file=file, context=context):
        host = os.environ[_HOST]
        host = f"[{host}]" if ":" in host else host
        return f"https://{host}:{os.environ.get(_PORT, '443')} (this pod's service account)"
    found = kubeconfig.find(kubeconfig=file, context=context)
    acting = found.impersonation
    acting_as = f", acting as {acting[0][1].encode('latin-1').decode()}" if acting else ""
    return f"{found.server} (context {found.name}{acting_as})"


def misconfiguration(*, file: str | None, context: str | None) -> str:
    """Return why there is no API server to speak to, where none is named, or the like; else "".

    A context that is there is not looked into: what may be wrong in it, the first call says.
    """
    if context and kubeconfig.mentions(context, kubeconfig=file):
        return ""
    try:
        whereabouts(file=file, context=context)
    except ClusterConfigurationError as error:
        return str(error)
    return ""


def in_pod(*, file: str | None, context: str | None) -> bool:
    """Tell whether the service account of the pod that this process runs in is meant."""
    return file is None and context is None and bool(os.environ.get(_HOST))
