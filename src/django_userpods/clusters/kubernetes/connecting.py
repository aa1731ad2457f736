"""From a way in to pools of connections: TLS, the proxy in between, whom we act as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError

from django_userpods.clusters.kubernetes import credentials, errors
from django_userpods.clusters.kubernetes.transport import Connection
from django_userpods.exceptions import ClusterConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection


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
    server = errors.public_url(configuration.host)
    parts = urlsplit(configuration.host)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ClusterConfigurationError(f"the kubeconfig names a server that is no URL: {server!r}")
    pools = _pools(client, configuration, server=server)
    if access.tls_server_name:
        # Before 28 the official client does not read it.
        pools.connection_pool_kw["server_hostname"] = access.tls_server_name
    is_proxied = getattr(pools, "proxy", None) is not None
    if is_proxied and parts.scheme == "http":
        _check_headers(access.impersonation, server=server)
    return Connection(
        pools=pools,
        base=configuration.host.rstrip("/"),
        server=server,
        authorization=access.authorization,
        impersonation=access.impersonation,
        proxy=errors.public_url(configuration.proxy) if is_proxied else "",
    )


def _pools(client: Any, configuration: Any, *, server: str) -> Any:  # noqa: ANN401
    """Return urllib3's pools as the official client makes them, with its TLS and its proxy."""
    try:
        return client.ApiClient(configuration).rest_client.pool_manager
    except (HTTPError, ValueError, ImportError) as error:  # of the proxy's URL
        socks = isinstance(error, ImportError)
        raise ClusterConfigurationError(
            f"the way to {server} cannot be used: {type(error).__name__}"
            + ("; a SOCKS proxy needs PySocks: pip install 'urllib3[socks]'" if socks else "")
        ) from error


def _check_headers(impersonation: Collection[tuple[str, str]], *, server: str) -> None:
    """Refuse a repeated header through a proxy for plain HTTP: urllib3 would write it as one."""
    names = [name for name, _ in impersonation]
    if len(set(names)) < len(names):
        raise ClusterConfigurationError(
            f"several groups cannot be impersonated through a proxy to {server}, since that is "
            "plain HTTP"
        )
