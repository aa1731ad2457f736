"""From what an API server answers, or how it does not, to our own errors.

A text says what was being done, to which server, what went wrong in the server's words (cut
short), and what a person can do. Request bodies and headers never get into it.
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django_userpods.clusters.kubernetes.jsontext import loads
from django_userpods.exceptions import (
    AlreadyExists,
    BadAnswer,
    ClusterConfigurationError,
    ClusterError,
    ClusterTimeout,
    ClusterUnavailable,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    QuotaExceeded,
    TooManyRequests,
    Unauthorized,
    UnknownKind,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 300
#: What to do where a namespace is missing.
MAKE_NAMESPACE = (
    "make it by `kubectl apply -k` of the `isolation` that `manage.py userpods_manifests --output` "
    "writes, or by `kubectl create namespace`"
)
#: Server-side apply says with status 500 that a manifest does not fit the schema.
_NO_FIT = ("failed to create typed patch object", "failed to convert")
_QUOTA = r"exceeded quota: (?P<name>[^,\s]+)"


def shortened(text: str) -> str:
    """Return a text as one line of at most 300 characters."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def public_url(url: str) -> str:
    """Return a server's URL without a user name and password that may be in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def decode(body: bytes, *, what: str, server: str) -> dict[str, Any]:
    """Parse a JSON object; BadAnswer where it is not one."""
    try:
        answer = loads(body)
    except ValueError as error:
        raise BadAnswer(
            f"{what}: {server} answered with what is not JSON: {_excerpt(body)}"
        ) from error
    if not isinstance(answer, dict):
        raise BadAnswer(f"{what}: {server} answered with what is not a Kubernetes object")
    return answer


def from_answer(
    status: int, body: bytes, *, what: str, server: str, retry_after: float | None
) -> ClusterError:
    """Return the error for an answer that is no success."""
    said = _status_object(body)
    if said is None:
        return _from_stranger(status, body, what=what, server=server, retry_after=retry_after)
    reason = said.get("reason", "")
    message = f"{what}: {shortened(str(said.get('message') or reason or status))}"
    if status == 401:
        return Unauthorized(_refused_credentials(what, server), status=status)
    if status == 403:
        quota = re.search(_QUOTA, message)
        if quota:
            return QuotaExceeded(
                f"{message} (the ResourceQuota {quota['name']} is used up)", status=status
            )
        hint = " (RBAC)" if " cannot " in message else ""
        return Forbidden(f"{message}{hint}", status=status)
    if status == 409:
        return (AlreadyExists if reason == "AlreadyExists" else Conflict)(message, status=status)
    if status == 429:
        return TooManyRequests(message, status=status, retry_after=retry_after)
    if status == 404 and not (said.get("details") or {}).get("name"):
        return UnknownKind(_unknown_kind(what, server), status=status)
    if status == 500 and any(words in message for words in _NO_FIT):
        return Invalid(message, status=status)
    if status >= 500:
        return ClusterUnavailable(f"{message} ({server} answered {status})", status=status)
    if status == 422:
        causes = (said.get("details") or {}).get("causes") or ()
        fields = tuple(str(cause.get("field", "")) for cause in causes)
        return Invalid(message, status=status, fields=fields)
    if status == 404 and (said.get("details") or {}).get("kind") == "namespaces":
        return NotFound(f"{message}; {MAKE_NAMESPACE}", status=status)
    known: dict[int, type[ClusterError]] = {
        400: Invalid,
        404: NotFound,
        410: Expired,
        413: Invalid,
        415: Invalid,
    }
    return known.get(status, BadAnswer)(message, status=status)


def _from_stranger(
    status: int, body: bytes, *, what: str, server: str, retry_after: float | None
) -> ClusterError:
    """Return the error for an answer that is not the Kubernetes API's own Status object.

    A 404, 409 or 410 of a proxy says nothing about the object, so it must not be taken for one.
    """
    text = f"{what}: {server} answered {status}: {_excerpt(body)}"
    if status == 401:
        return Unauthorized(_refused_credentials(what, server), status=status)
    if status == 403:
        return Forbidden(text, status=status)
    if status == 404 and body.strip() == b"404 page not found":
        # What the API server itself says for a group or version that it does not serve.
        return UnknownKind(_unknown_kind(what, server), status=status)
    if status == 429:
        return TooManyRequests(text, status=status, retry_after=retry_after)
    if status >= 500:
        return ClusterUnavailable(text, status=status)
    if 300 <= status < 400:
        text = f"{what}: {server} answered {status}, a redirect"
    return BadAnswer(f"{text}; is that the URL of a Kubernetes API server?", status=status)


def not_json(status: int, body: bytes, *, what: str, server: str) -> BadAnswer:
    """Return the error for a success that is HTML or something else that no API server says."""
    return BadAnswer(
        f"{what}: {server} answered {status} with what is not JSON: {_excerpt(body)}; "
        "is that the URL of a Kubernetes API server?",
        status=status,
    )


def from_failure(
    error: Exception, *, what: str, server: str, proxy: str, seconds: float
) -> ClusterError:
    """Return the error for a connection that failed; ``error`` is urllib3's or the system's."""
    causes = list(_causes(error))
    names = {type(cause).__name__ for cause in causes}
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ClusterConfigurationError(
                f"{what}: the certificate of {server} is not trusted: "
                f"{shortened(cause.verify_message)}; see certificate-authority in the kubeconfig"
            )
    if "ProxyError" in names:
        return ClusterUnavailable(
            f"{what}: the proxy {proxy} in front of {server} failed: "
            f"{_of_proxy(causes)}; see proxy-url in the kubeconfig, or HTTPS_PROXY and NO_PROXY"
        )
    if "NameResolutionError" in names or "gaierror" in names:
        return ClusterUnavailable(f"{what}: the host name of {server} cannot be resolved")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return ClusterUnavailable(f"{what}: {server} refuses connections; is the API server up?")
    if "ConnectTimeoutError" in names:
        through = f" through the proxy {proxy}" if proxy else ""
        return ClusterTimeout(
            f"{what}: no connection to {server} could be made in time{through}; is the network up, "
            "and does its host name resolve?"
        )
    if "ReadTimeoutError" in names or any(isinstance(cause, TimeoutError) for cause in causes):
        return timed_out(what=what, server=server, seconds=seconds)
    return ClusterUnavailable(
        f"{what}: the connection to {server} broke: {type(causes[-1]).__name__}: "
        f"{shortened(str(causes[-1]))}"
    )


def _of_proxy(causes: list[BaseException]) -> str:
    """Return what was wrong with a proxy."""
    names = {type(cause).__name__ for cause in causes}
    if "NameResolutionError" in names or "gaierror" in names:
        return "its host name cannot be resolved"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "it refuses connections"
    if "ConnectTimeoutError" in names:
        return "no connection to it could be made in time"
    return shortened(str(causes[-1]))


def timed_out(*, what: str, server: str, seconds: float) -> ClusterTimeout:
    """Return the error for a call whose time is over."""
    return ClusterTimeout(f"{what}: {server} did not answer within {seconds:g} s")


def too_large(*, what: str, server: str, limit: int) -> BadAnswer:
    """Return the error for an answer of more than ``limit`` bytes."""
    return BadAnswer(
        f"{what}: {server} answered with more than {limit >> 20} MiB; if that is a list of large "
        "objects, set a smaller page_size in OPTIONS of USERPODS_CLUSTER"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what is behind it, outermost first."""
    seen: set[int] = set()
    here: BaseException | None = error
    while here is not None and id(here) not in seen:
        seen.add(id(here))
        yield here
        inner = [item for item in here.args if isinstance(item, BaseException)]
        here = here.__cause__ or here.__context__ or (inner[0] if inner else None)


def _status_object(body: bytes) -> dict[str, Any] | None:
    """Return the ``Status`` of the Kubernetes API ("API concepts", error responses), or None."""
    try:
        said = loads(body)
    except ValueError:
        return None
    return said if isinstance(said, dict) and said.get("kind") == "Status" else None


def _excerpt(body: bytes) -> str:
    """Return enough of an answer to recognise it; nothing of an object, it may be a Secret."""
    if body.lstrip()[:1] in {b"{", b"["}:
        return f"{len(body)} bytes that begin like an object"
    text = body[:2000].decode("utf-8", "replace")
    if "<" in text:
        text = re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
    return shortened(text) or "nothing"


def _unknown_kind(what: str, server: str) -> str:
    return f"{what}: {server} does not know this kind of object; is its CRD installed?"


def _refused_credentials(what: str, server: str) -> str:
    return (
        f"{what}: {server} refuses our credentials (401); "
        "the token or certificate is wrong or has expired"
    )
