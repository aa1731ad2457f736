"""The cluster that the settings name, one object for all; in a test run an inert one."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from django.core.signals import setting_changed

from django_userpods import setting
from django_userpods.conf import conf
from django_userpods.exceptions import ClusterError, SettingError

if TYPE_CHECKING:
    from django_userpods.clusters.base import Cluster

_clusters: dict[str, Cluster] = {}
_clusters_lock = threading.Lock()


def get_cluster() -> Cluster:
    """Return the cluster of ``USERPODS_CLUSTER``, the same object as long as the setting stays.

    In a test run it is an inert one in its place, see ``is_inert``. Raises SettingError where the
    backend cannot be made; does not connect.
    """
    return _usable(_cluster_of_settings())


def another_cluster() -> Cluster:
    """Return one of ``USERPODS_CLUSTER`` that is the caller's own.

    It has connections and a rate of calls for itself, so nothing there waits for anybody else.
    """
    return _usable(_made())


def is_inert() -> bool:
    """Tell whether nothing may be sent: a test run, and the settings allow it no cluster by name.

    Django's ``setup_test_environment()`` begins a test run, as its own runner and pytest-django
    do. Then a cluster is used only if ``USERPODS_CLUSTER`` has ``"IN_TESTS": True``, or if its
    backend leads nowhere, as the memory cluster.
    """
    try:
        return in_test_run() and _is_inert(_cluster_of_settings())
    except (SettingError, ClusterError):
        return False  # there is no cluster to send anything to


def in_test_run() -> bool:
    """Tell whether Django's ``setup_test_environment()`` is in force in this process."""
    utils = sys.modules.get("django.test.utils")
    if utils is None:
        return False
    state = getattr(utils, "_TestState", None)
    if state is None:  # a Django that keeps it elsewhere: what it documents is the next best
        return hasattr(sys.modules.get("django.core.mail"), "outbox")
    return hasattr(state, "saved_data")


def _usable(cluster: Cluster) -> Cluster:
    """Return the cluster, or what stands in for it in a test run."""
    if not _is_inert(cluster):
        return cluster
    from django_userpods.clusters.inert import InertCluster

    return InertCluster(cluster)


def _is_inert(cluster: Cluster) -> bool:
    *_, said = conf.USERPODS_CLUSTER
    return in_test_run() and not (cluster.in_tests if said is None else said)


def _cluster_of_settings() -> Cluster:
    backend, options, _ = conf.USERPODS_CLUSTER
    key = repr((backend, options))
    with _clusters_lock:
        if key not in _clusters:
            _clusters[key] = _made()
        return _clusters[key]


def _made() -> Cluster:
    backend, options, _ = conf.USERPODS_CLUSTER
    factory = setting.imported("USERPODS_CLUSTER", backend)
    setting.check_options("USERPODS_CLUSTER", factory, backend, options)
    try:
        made: Cluster = factory(**options)
    except TypeError as error:
        raise setting.invalid("USERPODS_CLUSTER", f"OPTIONS: {error}", f"See {backend}.") from error
    return made


def _forget_clusters(**changed: object) -> None:
    if changed["setting"] == "USERPODS_CLUSTER":
        with _clusters_lock:
            for cluster in _clusters.values():
                cluster.close()
            _clusters.clear()


setting_changed.connect(_forget_clusters, dispatch_uid="django_userpods.cluster")
