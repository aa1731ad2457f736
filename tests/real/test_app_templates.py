"""The templates of ``examples/apps``, as shipped, in a namespace that enforces ``restricted``."""

from __future__ import annotations

import time
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from tests.real.project import objects, pair

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

    from tests.testcluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.django_db(transaction=True)]
TEMPLATES = sorted((Path(__file__).parents[2] / "examples" / "apps").glob("*/template.yaml"))


def sync() -> str:
    out = StringIO()
    call_command("sync_userpods", stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.parent.name)
def test_a_cluster_takes_it_and_starts_its_pod(
    real: str, cluster: Cluster, settings: Settings, template: Path
) -> None:
    settings.USERPODS_TEMPLATE = str(template)
    settings.USERPODS_SITE_URL = "https://example.org/"
    settings.USERPODS_URL = "https://{pod}.pods.example.org/"
    User.objects.create_user("alice")
    sync()
    assert objects(cluster, real) == pair("user-alice")
    deadline = time.monotonic() + 60
    while not cluster.get("pods", "-n", real)["items"]:
        replicas = cluster.get("replicasets", "-n", real)["items"]
        assert time.monotonic() < deadline, [each.get("status") for each in replicas]
        time.sleep(0.2)
    assert "Nothing to do" in sync()
