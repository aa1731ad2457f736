"""The site for a WSGI server."""

from __future__ import annotations

import logging
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example.settings")
application = get_wsgi_application()


def keep_pods_running() -> None:
    """Have the local cluster's processes run for as long as this server does.

    Without it they would run from the first call on that needs the cluster.
    """
    from django_userpods.cluster import get_cluster
    from django_userpods.clusters.local import LocalCluster
    from django_userpods.exceptions import UserpodsError

    try:
        cluster = get_cluster()
        if isinstance(cluster, LocalCluster):
            cluster.attach()
    except UserpodsError:
        logging.getLogger("example").exception("The local cluster does not work")


keep_pods_running()
