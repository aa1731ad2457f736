"""The way to the pods: names, routers, certificates."""

from __future__ import annotations

import datetime
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.utils import timezone
from django.utils.translation import gettext as _

from django_userpods.conf import conf
from django_userpods.core.addresses import Way
from django_userpods.doctor.findings import note, ok, wrong
from django_userpods.exceptions import SettingError
from django_userpods.version import DOCUMENTATION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django_userpods.doctor.findings import Finding

_DNS, _ROUTER, _CERTIFICATES = "dns", "router", "certificates"
#: A label that a wildcard covers and no pod has: names have no such label.
_LABEL = "userpods-doctor"
#: Days before the end of a certificate from which it is worth a word.
_SOON = 14


def _public() -> dict[str, tuple[str, int, bool]]:
    """Return hosts that browsers come to: what it is for, name, port, whether by TLS."""
    found: dict[str, tuple[str, int, bool]] = {}
    try:
        site, where = conf.USERPODS_SITE_URL, conf.USERPODS_URL
    except SettingError:
        return {}  # said of the settings
    if site:
        parts = urlsplit(site)
        secure = parts.scheme == "https"
        name = parts.hostname or ""
        found[_("the site")] = (name, parts.port or (443 if secure else 80), secure)
    if where is not None and where.way is not Way.PATHS and where.host:
        name = f"{_LABEL}{where.host}" if where.way is Way.HOSTS else where.host
        port = where.port or (443 if where.is_secure else 80)
        found[_("pods")] = (name, port, where.is_secure)
    return found


def _is_local(name: str) -> bool:
    """Tell whether browsers know a name by themselves (RFC 6761, section 6.3)."""
    return name == "localhost" or name.endswith(".localhost")


def names() -> Iterator[Finding]:
    """Look up the site's name, one that stands for all pods', and the routers'."""
    hosts = {what: name for what, (name, _port, _tls) in _public().items()}
    if not hosts:
        yield note(_DNS, _("USERPODS_SITE_URL and USERPODS_URL name no host to look up."))
    for what, name in hosts.items():
        if _is_local(name):
            text = _("The name of %(what)s, %(name)s, needs no DNS.")
            yield ok(_DNS, text % {"what": what, "name": name})
            continue
        try:
            socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            text = _("The name of %(what)s, %(name)s, is not found.")
            hint = _("Add a record for it; for a host for every pod, a wildcard (*.…).")
            yield wrong(_DNS, text % {"what": what, "name": name}, hint)
        else:
            text = _("The name of %(what)s, %(name)s, is found.")
            yield ok(_DNS, text % {"what": what, "name": name})


def routers(timeout: float) -> Iterator[Finding]:
    """Ask each router of ``USERPODS_ROUTERS`` whether it is well."""
    # Not at the start of every process.
    import urllib3

    try:
        urls = conf.USERPODS_ROUTERS
    except SettingError:
        return  # said of the settings
    if not urls:
        text = _(
            "USERPODS_ROUTERS is empty: routers let in people who have signed out for a few "
            "seconds more."
        )
        do = _("Name the routers' internal addresses, as %(page)s says.")
        yield note(_ROUTER, text, do % {"page": f"{DOCUMENTATION}/settings.md"})
    for url in urls:
        parts = urlsplit(url)
        # Without a name and password that a URL may have.
        shown = f"{parts.hostname}:{parts.port or 80}"
        limit = urllib3.Timeout(total=timeout * 0.8)
        try:
            with urllib3.HTTPConnectionPool(
                parts.hostname or "", parts.port or 80, timeout=limit
            ) as pool:
                path = f"{parts.path.rstrip('/')}/healthz"
                answer = pool.request("GET", path, retries=False, redirect=False)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            text = _("The router %(router)s cannot be reached: %(error)s.")
            hint = _("Check that it is running, and that a NetworkPolicy lets Django in.")
            told = {"router": shown, "error": type(error).__name__}
            yield wrong(_ROUTER, text % told, hint)
            continue
        if answer.status == 200:
            yield ok(_ROUTER, _("The router %(router)s is healthy.") % {"router": shown})
        else:
            text = _("The router %(router)s answers with status %(status)s.")
            told = {"router": shown, "status": str(answer.status)}
            yield wrong(_ROUTER, text % told, _("See its log, and the port in USERPODS_ROUTERS."))


def certificates(timeout: float) -> Iterator[Finding]:
    """Look at the certificates of the site and of pods, as a browser would."""
    secure = {what: place for what, place in _public().items() if place[2]}
    if not secure:
        yield note(_CERTIFICATES, _("Neither the site nor pods have an https:// address."))
    for what, (name, port, _tls) in secure.items():
        told = {"what": what, "name": name}
        try:
            ends = _end_of_certificate(name, port, timeout * 0.4)
        except ssl.SSLCertVerificationError as error:
            text = _("The certificate of %(what)s, %(name)s, is refused: %(error)s.")
            hint = _("Renew it, or have it cover this name (for all pods, *.…).")
            yield wrong(_CERTIFICATES, text % {**told, "error": error.verify_message}, hint)
        except (OSError, ValueError):
            text = _("%(name)s (%(what)s) is not reached from here, so its certificate is unknown.")
            yield note(_CERTIFICATES, text % told, _("If browsers reach it, nothing is wrong."))
        else:
            days = (ends - timezone.now()).days
            text = _("The certificate of %(what)s, %(name)s, is valid for %(days)s more days.")
            text %= {**told, "days": days}
            if days < _SOON:
                yield note(_CERTIFICATES, text, _("See that it is renewed in time."))
            else:
                yield ok(_CERTIFICATES, text)


def _end_of_certificate(name: str, port: int, timeout: float) -> datetime.datetime:
    context = ssl.create_default_context()
    with (
        socket.create_connection((name, port), timeout=timeout) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        found = secure.getpeercert() or {}
    ends = ssl.cert_time_to_seconds(str(found["notAfter"]))
    return datetime.datetime.fromtimestamp(ends, tz=datetime.UTC)
