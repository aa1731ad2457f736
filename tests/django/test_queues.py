"""The task queues that projects have take the work, and their own workers do it.

Site and worker are processes of their own, as they are in a project. Celery pins a dateutil that
the newest Kubernetes client does not take, and the worker of Django's tasks is a package that wants
another one before Django 6, so these two are in ``tests/tools/test_install.py``.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import fakeredis

from tests.django.queue_project import run

if TYPE_CHECKING:
    from pathlib import Path


SAVE = """
user = User.objects.create_user("alice")
assert made() == []
assert user.userpods.get().state == "pending"
"""
WORKED = """
assert made() == ["user-alice"], made()
assert UserPod.objects.get().state == "running"
"""


def test_rqs_worker_does_the_work(tmp_path: Path) -> None:
    server = fakeredis.TcpFakeServer(("127.0.0.1", 0), server_type="redis")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    port = server.server_address[1]
    site_and_worker = partial(
        run,
        tmp_path,
        queue="django_userpods.queues.rq.enqueue",
        apps=("django_rq",),
        more=f'RQ_QUEUES={{"default": {{"HOST": "127.0.0.1", "PORT": {port}}}}},',
    )
    try:
        site_and_worker(SAVE)
        site_and_worker(
            f"""
import redis
# The pretended server words an address in a way that cannot be read.
redis.Redis.client_info = lambda self: {{"addr": "127.0.0.1"}}
# A worker that does not fork, since the cluster is in this process's memory.
call_command("rqworker", "default", burst=True, worker_class="rq.SimpleWorker")
{WORKED}
"""
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_hueys_consumer_does_the_work(tmp_path: Path) -> None:
    site_and_consumer = partial(
        run,
        tmp_path,
        queue="django_userpods.queues.huey.enqueue",
        apps=("huey.contrib.djhuey",),
        more=f"""HUEY={{
            "huey_class": "huey.SqliteHuey",
            "filename": {str(tmp_path / "huey.db")!r},
            "immediate": False,
        }},""",
    )
    site_and_consumer(SAVE)
    site_and_consumer(
        f"""
import threading
from huey import signals
from huey.contrib.djhuey import HUEY

ended = threading.Event()
HUEY.signal(signals.SIGNAL_COMPLETE, signals.SIGNAL_ERROR)(lambda *_: ended.set())
consumer = HUEY.create_consumer()
consumer.start()
try:
    assert ended.wait(60)
finally:
    consumer.stop(graceful=True)
{WORKED}
"""
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
