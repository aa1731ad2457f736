"""Finding the cluster and the credentials, by means of the official client.

The client itself is handed in, so that ``client`` stays the only module that imports it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from django_userpods.clusters.kubernetes import errors, exec_plugin, kubeconfig, meant
from django_userpods.exceptions import ClusterConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from django_userpods.clusters.kubernetes.kubeconfig import Context


class Access(NamedTuple):
    """A way in: the official client's Configuration, and what it does not know of.

    ``authorization`` gives the Authorization header, fresh at each call, and may raise
    ClusterConfigurationError; ``impersonation`` are headers for whom we act as;
    ``tls_server_name`` is whom the server's certificate has to be for, where not for its host.
    """

    configuration: Any
    authorization: Callable[[], str | None]
    impersonation: tuple[tuple[str, str], ...] = ()
    tls_server_name: str = ""


def load(
    client: Any,  # noqa: ANN401 - not typed there
    config: Any,  # noqa: ANN401
    *,
    file: str | None,
    context: str | None,
    seconds: float,
) -> Access:
    """Return the way in: of the pod that we run in, else of the context that is named.

    ``client`` and ``config`` are the official client's modules; ``file`` and ``context`` are the
    options ``kubeconfig`` and ``context``. An exec plugin may take ``seconds``. Raises
    ClusterConfigurationError.
    """
    configuration = client.Configuration()
    if meant.in_pod(file=file, context=context):
        try:
            config.load_incluster_config(client_configuration=configuration)
        except (config.ConfigException, OSError) as error:
            raise ClusterConfigurationError(
                f"no cluster to speak to: the pod has no usable service account ({error}); "
                "mount its token, or name a 'context' or 'kubeconfig' in OPTIONS of "
                "USERPODS_CLUSTER"
            ) from error
        _use_proxy_of_environment(configuration)
        return Access(configuration, lambda: _bearer(config, configuration))
    found = kubeconfig.find(kubeconfig=file, context=context)
    impersonation = found.impersonation
    plugin = None
    user = found.user
    # The official client's order: a token that is written down comes before a plugin.
    if user.get("exec") and not (user.get("token") or user.get("tokenFile")):
        plugin = _Plugin(found, seconds)
        user = plugin.user()
    _configure(config, configuration, found, user)
    if found.proxy:
        # kubectl asks neither HTTPS_PROXY nor NO_PROXY then.
        configuration.proxy, configuration.no_proxy = found.proxy, ""
    else:
        _use_proxy_of_environment(configuration)
    expected = str(found.cluster.get("tls-server-name") or "")
    if plugin is not None:
        return Access(configuration, plugin.bearer, impersonation, expected)
    if "auth-provider" in user and not configuration.api_key:
        raise ClusterConfigurationError(
            f"the kubeconfig {found.file}, context {found.name}, gives no credentials: its "
            "auth-provider handed out none; kubectl knows exec plugins only since 1.26"
        )
    return Access(configuration, lambda: _bearer(config, configuration), impersonation, expected)


def _configure(
    config: Any,  # noqa: ANN401 - not typed there
    configuration: Any,  # noqa: ANN401
    found: Context,
    user: dict[str, Any],
) -> None:
    """Have the official client read one context, with this user's data."""
    try:
        config.load_kube_config_from_dict(
            found.as_dict(user), context="one", client_configuration=configuration
        )
    except config.ConfigException as error:
        raise ClusterConfigurationError(
            f"the kubeconfig {found.file} cannot be used: {errors.shortened(str(error))}"
        ) from error
    except OSError as error:
        raise ClusterConfigurationError(
            f"the kubeconfig {found.file}: {error.filename or 'a file that it names'} cannot be "
            f"read: {error.strerror or error}"
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ClusterConfigurationError(
            f"the kubeconfig {found.file} is malformed ({type(error).__name__})"
        ) from error


def _use_proxy_of_environment(configuration: Any) -> None:  # noqa: ANN401 - not typed there
    """Name the proxy that the environment has for the server's scheme, else none.

    As the official client does since 37. Before 35 it asked no environment, and 35 and 36 took
    ``HTTP_PROXY`` for a server with TLS.
    """
    from urllib.request import getproxies_environment

    proxies = getproxies_environment()
    scheme = urlsplit(configuration.host).scheme
    configuration.proxy = proxies.get(scheme) or proxies.get("all")
    configuration.no_proxy = proxies.get("no", "")


def _bearer(config: Any, configuration: Any) -> str | None:  # noqa: ANN401 - not typed there
    """Return the Authorization header, from a token that is looked after by the client."""
    try:
        settings = configuration.auth_settings().get("BearerToken")
    except (config.ConfigException, OSError) as error:
        raise ClusterConfigurationError(
            f"the credentials cannot be renewed: {errors.shortened(str(error))}"
        ) from error
    value = settings["value"] if settings else None
    return str(value).strip() if value else None


class _Plugin:
    """An exec plugin, and what it handed out last."""

    def __init__(self, context: Context, seconds: float) -> None:
        self._context = context
        self._seconds = seconds
        self._credential = exec_plugin.run(context, seconds=seconds)

    def user(self) -> dict[str, Any]:
        """Return what the official client has to know; the token is ours to look after."""
        if not self._credential.certificate:
            return {name: text for name, text in self._context.user.items() if name != "exec"}
        pair = (self._credential.certificate, self._credential.key)
        certificate, key = (base64.b64encode(text.encode()).decode() for text in pair)
        return {"client-certificate-data": certificate, "client-key-data": key}

    def bearer(self) -> str | None:
        if self._credential.expired:
            self._credential = exec_plugin.run(self._context, seconds=self._seconds)
        return f"Bearer {self._credential.token}" if self._credential.token else None
