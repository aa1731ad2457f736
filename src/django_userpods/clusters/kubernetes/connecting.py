"""From a way in to pools of connections: TLS, the proxy in between, whom we act as."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError

from django_userpods.clusters.kubernetes import credentials, errors
from django_userpods.clusters.kubernetes.transport import Connection
from django_userpods.exceptions import ClusterConfigurationError


def connect(
    client: Any,  # noqa: ANN401 - not typed there
    config: Any,  # noqa: ANN401
    *,
    file: str | None,
    context: str | None,
    seconds: float,
    connections: int,
) -> Connection:
    """Find the configuration, load credentials, and open nothing yet.

    ``client`` and ``config`` are the official client's modules; the rest is as ``credentials.load``
    has it. At most ``connections`` are kept open. Raises ClusterConfigurationError.
    """
    access = credentials.load(
        client,
        config,
        file=file,
        context=context,
        seconds=seconds,
    )
    configuration = access.configuration
    configuration.connection_pool_maxsize = connections
    configuration.retries = False
    host = configuration.host
    parts = urlsplit(host)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ClusterConfigurationError(
            f"the kubeconfig names a server that is no URL: {errors.public_url(host)!r}"
        )
    try:
        pools = client.ApiClient(configuration).rest_client.pool_manager
    except (HTTPError, ValueError, ImportError) as error:  # of the proxy's URL
        socks = isinstance(error, ImportError)
        raise ClusterConfigurationError(
            f"the way to {errors.public_url(host)} cannot be used: {type(error).__name__}"
            + ("; a SOCKS proxy needs PySocks: pip install 'urllib3[socks]'" if socks else "")
        ) from error
    if access.tls_server_name:
        # Before 28 the official client does not read it.
        pools.connection_pool_kw["server_hostname"] = access.tls_server_name
    proxied = getattr(pools, "proxy", None) is not None
    acting = [name for name, _ in access.impersonation]
    if proxied and parts.scheme == "http" and len(set(acting)) < len(acting):
        # urllib3 would write the values of a repeated header as one.
        raise ClusterConfigurationError(
            "several groups cannot be impersonated through a proxy to "
            f"{errors.public_url(host)}, since that is plain HTTP"
        )
    return Connection(
        pools=pools,
        base=host.rstrip("/"),
        server=errors.public_url(host),
        authorization=access.authorization,
        impersonation=access.impersonation,
        proxy=errors.public_url(configuration.proxy) if proxied else "",
    )
