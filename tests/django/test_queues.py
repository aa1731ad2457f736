"""The task queues that projects have take the work, and their workers do it.

Celery pins a dateutil that the newest Kubernetes client does not take, so it is in
``tests/tools/test_install.py``.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import fakeredis

from tests.django.queue_project import run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_job_of_rqs_does_the_work(tmp_path: Path) -> None:
    server = fakeredis.TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    port = server.server_address[1]
    try:
        run(
            tmp_path,
            """
            user = User.objects.create_user("alice")
            assert made() == []
            import django_rq
            (job,) = django_rq.get_queue("default").jobs
            job.perform()
            assert made() == ["user-alice"], made()
            """,
            queue="django_userpods.queues.rq.enqueue",
            apps=("django_rq",),
            more=f'RQ_QUEUES={{"default": {{"HOST": "127.0.0.1", "PORT": {port}}}}},',
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_hueys_consumer_does_the_work(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        user = User.objects.create_user("alice")
        assert made() == []
        from huey.contrib.djhuey import HUEY
        assert len(HUEY.pending()) == 1
        HUEY.execute(HUEY.dequeue())
        assert made() == ["user-alice"], made()
        """,
        queue="django_userpods.queues.huey.enqueue",
        apps=("huey.contrib.djhuey",),
        more='HUEY={"huey_class": "huey.MemoryHuey", "name": "site", "immediate": False},',
    )


def test_an_adapter_of_ones_own_is_a_function(tmp_path: Path) -> None:
    run(
        tmp_path,
        """
        User.objects.bulk_create([User(username=name) for name in ("bob", "carol")])
        user = User.objects.create_user("alice")
        pod = user.userpods.get()
        from django_userpods import lifecycle, queues
        lifecycle.sync(UserPod.objects.all())
        assert put == [([str(user.pk)], []), ([], [pod.pk])], put
        assert made() == []
        for item in put:
            queues.reconcile(*item)
        assert made() == ["user-alice"]
        """,
        queue="mine.enqueue",
        before="""
import types
put = []
sys.modules["mine"] = types.ModuleType("mine")
sys.modules["mine"].enqueue = lambda user_pks, pods: put.append((user_pks, pods))
""",
    )
