"""Other installations that call themselves as this one does, where people would mix them up."""

from __future__ import annotations

from itertools import islice

from django_userpods.cluster import get_cluster
from django_userpods.conf import DEFAULT_INSTANCE, conf
from django_userpods.core import naming
from django_userpods.core.objects import DEPLOYMENT
from django_userpods.exceptions import ClusterError
from django_userpods.reconcile.wanted import this_installation

#: Maximum number of objects that are looked at: one of each would do.
_SAMPLE = 500


def namesakes() -> list[str]:
    """Return the ids of other installations whose ``USERPODS_INSTANCE`` is the default, as ours is.

    One list that is empty in most clusters. Nothing where the cluster cannot be asked: the run
    itself says so.
    """
    if conf.USERPODS_INSTANCE != DEFAULT_INSTANCE:
        return []
    ours = this_installation(write=False).id
    try:
        found = get_cluster().list(
            DEPLOYMENT,
            namespace=None if callable(conf.USERPODS_NAMESPACE) else conf.USERPODS_NAMESPACE,
            labels={
                naming.MANAGED_BY_LABEL: naming.MANAGED_BY,
                naming.INSTANCE_LABEL: conf.USERPODS_INSTANCE,
            },
            without={naming.INSTALLATION_LABEL: ours},
        )
        labels = [item["metadata"]["labels"] for item in islice(found, _SAMPLE)]
    except ClusterError:
        return []
    return sorted({label.get(naming.INSTALLATION_LABEL, "none") for label in labels})
