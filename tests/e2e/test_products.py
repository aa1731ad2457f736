"""Products from PyPI with the README's lines added: their users' pods answer, on a real node."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.real.products import NEMO, WAFER, Product, Site, installed
from tests.router.harness import Process, Response, Router, eventually, is_open
from tests.testcluster.node import WORKLOAD
from tests.testcluster.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.testcluster.node import NodeCluster

pytestmark = [pytest.mark.node, pytest.mark.timeout(900, func_only=True)]

#: The site's, by which the router asks it.
HOST = "site.test"
#: A person who has just signed up, and is signed in.
SIGN_UP = """
from django.contrib.auth import get_user_model
from django.test import Client
client = Client()
client.force_login(get_user_model().objects.create(username="bob", **{fields!r}))
print("SESSION", client.session.session_key)
"""


@contextmanager
def serving(site: Site, folder: Path) -> Iterator[Router]:
    """Run the product, and the router in front of it, on this machine: that reaches Services."""
    port = free_port()
    # Its database is where it runs.
    command = ["env", f"--chdir={site.folder}", str(site.python), "-m", "django", "runserver"]
    command += [f"127.0.0.1:{port}", "--noreload", "--settings", site.settings]
    log = folder / "django.log"
    try:
        with Process(command, log, site.env), Router(folder / "nginx", port) as router:
            eventually(lambda: is_open(port), 120)
            yield router
    finally:
        print(log.read_text(errors="replace")[-5000:])  # pytest shows it where a test fails


@pytest.mark.parametrize("product", [NEMO, WAFER], ids=lambda product: product.name)
def test_the_readmes_lines_give_a_products_user_a_pod_that_answers(
    product: Product, node_cluster: NodeCluster, node_namespace: str, tmp_path: Path
) -> None:
    python, database = installed(product)
    site = Site(product, python, tmp_path / "site")
    shutil.copy(database, site.folder / "db.sqlite3")
    site.add_the_app(node_cluster.kubeconfig, node_namespace, image=WORKLOAD)
    with (site.folder / "before.py").open("a") as settings:
        settings.write(f"ALLOWED_HOSTS = [{HOST!r}]\n")
    site.manage("migrate")
    said = site.manage("shell", "-c", SIGN_UP.format(fields=product.user))
    session = said.partition("SESSION ")[2].split()[0]

    with serving(site, tmp_path) as router:

        def answered(status: int, *headers: tuple[str, str]) -> Response:
            """The first answer with this status: a pod takes its time, and so may Django."""

            def once() -> Response | None:
                found = router.get("/a/page", ("Accept", "application/json"), *headers)
                assert found.status in {status, 503}, found
                return found if found.status == status else None

            found: Response = eventually(once, 120)
            return found

        pod = answered(200, ("Cookie", f"sessionid={session}")).json()
        assert (pod["user"], pod["path"]) == ("bob", "/a/page")
        assert pod["hostname"].startswith("user-bob-")
        answered(401)
        answered(401, ("Cookie", "sessionid=another"))
