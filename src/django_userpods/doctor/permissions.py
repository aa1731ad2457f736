"""The cluster: whether it answers, has our namespaces, lets us do our work, and what time it is."""

from __future__ import annotations

import datetime
import time
from typing import TYPE_CHECKING

from django.utils import timezone
from django.utils.translation import gettext as _

from django_userpods.cluster import get_cluster
from django_userpods.conf import conf
from django_userpods.core.objects import LEASE
from django_userpods.doctor.findings import note, ok, wrong
from django_userpods.exceptions import ClusterError, Forbidden, SettingError, UnknownKind
from django_userpods.status import cluster_trouble
from django_userpods.version import DOCUMENTATION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from django_userpods.clusters.base import Cluster
    from django_userpods.core.objects import Kind
    from django_userpods.doctor.findings import Finding
    from django_userpods.doctor.inside import Facts

_CLUSTER, _RIGHTS, _CLOCK = "cluster", "rights", "clock"
#: What a controller does beside what a sync does.
_LEASE_VERBS = ("create", "get", "update")
#: Clocks may differ by this: tickets to pods' hosts last no more than a minute.
_SKEW = datetime.timedelta(seconds=15)


def cluster(timeout: float) -> Iterator[Finding]:
    """Ask whether it answers."""
    where, trouble = cluster_trouble(timeout)
    if not where:
        do = _("Name one in USERPODS_CLUSTER, as %(page)s says.")
        yield wrong(_CLUSTER, trouble, do % {"page": f"{DOCUMENTATION}/settings.md"})
    elif trouble:
        text = _("Requests to the cluster (%(where)s) fail: %(error)s")
        hint = _("Check that it is running and reachable from here, and see the rights below.")
        yield wrong(_CLUSTER, text % {"where": where, "error": trouble}, hint)
    else:
        yield ok(_CLUSTER, _("The cluster answers: %(where)s.") % {"where": where})


def rights(facts: Facts, timeout: float, *, controller: bool) -> Iterator[Finding]:
    """Ask for each right that is needed, in each namespace."""
    if facts.rules is None:
        yield note(_RIGHTS, _("Which rights are needed is not known; see settings and database."))
        return
    # Nothing but a controller watches.
    unneeded = set() if controller else {"watch"}
    rules = {kind: set(verbs) - unneeded for kind, verbs in facts.rules.items()}
    deadline = time.monotonic() + timeout
    places: list[str | None] = [None] if facts.namespaces is None else list(facts.namespaces)
    for namespace in places:
        try:
            yield from _namespace(namespace, rules, deadline)
        except (ClusterError, SettingError) as error:
            where = namespace or _("all namespaces")
            text = _("Rights in %(where)s could not be checked: %(error)s")
            hint = _("See the line on the cluster.")
            yield wrong(_RIGHTS, text % {"where": where, "error": error}, hint)
    lease = conf.USERPODS_NAMESPACE
    if controller and isinstance(lease, str):
        yield from _lease(lease, deadline)


def _left(deadline: float) -> float:
    return max(0.05, deadline - time.monotonic())


def _namespace(
    namespace: str | None, rules: Mapping[Kind, set[str]], deadline: float
) -> Iterator[Finding]:
    asked = get_cluster()
    where = namespace or _("all namespaces")
    if namespace is not None and (lacking := _lacks_namespace(asked, namespace)):
        yield wrong(_RIGHTS, lacking, _("Make it: manage.py userpods_manifests --only isolation."))
        return
    missing = []
    for kind in sorted(rules):
        try:
            verbs = [
                verb
                for verb in sorted(rules[kind])
                if not asked.is_allowed(verb, kind, namespace=namespace, timeout=_left(deadline))
            ]
        except UnknownKind as error:
            hint = _("Install what serves it, or take it out of the pod template.")
            yield wrong(_RIGHTS, str(error), hint)
            continue
        if verbs:
            missing.append(f"{kind.kind}: {', '.join(verbs)}")
    if missing:
        text = _("In %(where)s these rights are missing: %(missing)s.")
        hint = _("Grant them: manage.py userpods_manifests --only rbac | kubectl apply -f -")
        yield wrong(_RIGHTS, text % {"where": where, "missing": "; ".join(missing)}, hint)
    else:
        count = sum(map(len, rules.values()))
        text = _("In %(where)s all %(count)s rights that are needed are granted.")
        yield ok(_RIGHTS, text % {"where": where, "count": count})


def _lacks_namespace(asked: Cluster, namespace: str) -> str:
    try:
        return asked.lacks_namespace(namespace)
    except Forbidden:
        return ""  # nobody needs to look at namespaces


def _lease(namespace: str, deadline: float) -> Iterator[Finding]:
    try:
        missing = [
            verb
            for verb in _LEASE_VERBS
            if not get_cluster().is_allowed(
                verb, LEASE, namespace=namespace, timeout=_left(deadline)
            )
        ]
    except ClusterError:
        return  # said of the others
    if missing:
        text = _("run_userpods may not do this to a Lease in %(where)s: %(missing)s.")
        hint = _("Grant it these rights, or name another namespace with --lease-namespace.")
        yield note(_RIGHTS, text % {"where": namespace, "missing": ", ".join(missing)}, hint)


def clock(facts: Facts, timeout: float) -> Iterator[Finding]:
    """Compare this machine's clock with the API server's and the database's."""
    found: dict[str, datetime.timedelta] = {}
    if facts.clock is not None:
        found[_("the database")] = facts.clock
    try:
        there = get_cluster().server_time(timeout=timeout)
    except (ClusterError, SettingError):
        there = None  # said of the cluster
    if there is not None:
        found[_("the API server")] = there - timezone.now()
    if not found:
        yield note(_CLOCK, _("There is no other clock to compare this machine's with."))
        return
    off = {who: by for who, by in found.items() if abs(by) > _SKEW}
    for who, by in off.items():
        text = _("The clock of %(who)s differs from this machine's by %(seconds)d s.")
        hint = _("Keep the time of both by NTP: sessions, tickets and certificates depend on it.")
        yield wrong(_CLOCK, text % {"who": who, "seconds": by.total_seconds()}, hint)
    if not off:
        text = _("This machine's clock agrees with %(others)s.")
        yield ok(_CLOCK, text % {"others": _(" and ").join(found)})
