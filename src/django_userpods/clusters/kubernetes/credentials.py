"""Finding the cluster and the credentials, by means of the official client.

The client itself is handed in, so that ``kubernetes`` stays the only module that imports it.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django_userpods.clusters.kubernetes import errors
from django_userpods.exceptions import ClusterConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


def load(client: Any, config: Any, *, kubeconfig: str | None, context: str | None) -> Any:  # noqa: ANN401 - not typed there
    """Return the client's Configuration: of the pod we run in, else of a kubeconfig.

    ``client`` and ``config`` are the official client's modules. Naming a kubeconfig or a context
    means that one. Raises ClusterConfigurationError.
    """
    configuration = client.Configuration()
    missing = ""
    if kubeconfig is None and context is None and os.environ.get(_IN_CLUSTER):
        try:
            config.load_incluster_config(client_configuration=configuration)
        except (config.ConfigException, OSError) as error:
            missing = f"the pod has no usable service account ({error}), and "
        else:
            return configuration
    path = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    files = [Path(part).expanduser() for part in path.split(os.pathsep) if part]
    if not any(file.exists() for file in files):
        raise ClusterConfigurationError(
            f"no cluster to speak to: {missing}there is no kubeconfig at {path}; name one in "
            "OPTIONS of USERPODS_CLUSTER or in KUBECONFIG, or run in a pod whose service "
            "account token is mounted"
        )
    _load_kubeconfig(config, configuration, path=path, context=context)
    return configuration


def authorization(config: Any, configuration: Any) -> str | None:  # noqa: ANN401 - not typed there
    """Return the Authorization header, from a token that is looked after by the client."""
    with _complaints() as complaints:
        try:
            settings = configuration.auth_settings().get("BearerToken")
        except (config.ConfigException, OSError) as error:
            raise ClusterConfigurationError(
                f"the credentials cannot be renewed: {errors.shortened(str(error))}"
            ) from error
    if complaints:
        raise ClusterConfigurationError(f"the credentials cannot be renewed: {complaints[0]}")
    value = settings["value"] if settings else None
    return str(value).strip() if value else None


def _load_kubeconfig(
    config: Any,  # noqa: ANN401 - not typed there
    configuration: Any,  # noqa: ANN401
    *,
    path: str,
    context: str | None,
) -> None:
    from yaml import MarkedYAMLError, YAMLError

    with _complaints() as complaints:
        try:
            config.load_kube_config(
                config_file=path, context=context, client_configuration=configuration
            )
        except YAMLError as error:
            # Its text quotes the file, and that may be a token.
            line = ""
            if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
                line = f" (line {error.problem_mark.line + 1})"
            raise ClusterConfigurationError(f"the kubeconfig {path} is not YAML{line}") from error
        except config.ConfigException as error:
            raise ClusterConfigurationError(
                f"the kubeconfig {path} cannot be used: {errors.shortened(str(error))}"
            ) from error
        except OSError as error:
            raise ClusterConfigurationError(
                f"the kubeconfig {path} cannot be read: {error.strerror or error}"
            ) from error
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise ClusterConfigurationError(
                f"the kubeconfig {path} is malformed ({type(error).__name__})"
            ) from error
    # The official client only logs that a plugin failed, and goes on without credentials.
    if complaints and not configuration.api_key and not configuration.cert_file:
        raise ClusterConfigurationError(
            f"the kubeconfig {path} gives no credentials: {complaints[0]}"
        )


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what this thread logs as an error meanwhile."""
    texts: list[str] = []
    thread = threading.get_ident()

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                texts.append(errors.shortened(record.getMessage()))

    handler = Collect(logging.ERROR)
    logging.getLogger().addHandler(handler)
    try:
        yield texts
    finally:
        logging.getLogger().removeHandler(handler)
