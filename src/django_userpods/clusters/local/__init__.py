"""The local cluster: every user's workload is a process on this machine.

For development and first looks, not for production: all workloads run as the user that runs
Django, nothing separates them from each other or from Django's own files, and the image of a
container is not used at all. What *is* the same as in Kubernetes is the interface, so a project
that works with it works with :class:`~django_userpods.clusters.kubernetes.KubernetesCluster`.

- ``paths`` names the files of a state directory;
- ``store`` keeps the objects and the ports in SQLite, for any number of processes at once;
- ``cluster`` is the interface that Django uses;
- ``link`` is Django's end of the line to the supervisor: starts it, wakes it, keeps it alive;
- ``supervisor`` is the one process per state directory that runs the workloads;
- ``workload`` is one of them; ``reaper`` sees to it that none outlives the supervisor.

``python -m django_userpods.clusters.local status|stop|start|run STATE_DIR`` is for people.
"""

from __future__ import annotations

from django_userpods.clusters.local.cluster import LocalCluster

__all__ = ["LocalCluster"]
