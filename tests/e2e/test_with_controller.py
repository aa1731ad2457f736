"""The controller on the node, in the place of the sync; the last tests, for it stays there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from tests.e2e import unwell
from tests.e2e.load import under_load
from tests.e2e.site import DJANGO, USERS
from tests.real.matrix import busy
from tests.testcluster.processes import wait_for

if TYPE_CHECKING:
    from tests.e2e.report import Report
    from tests.e2e.site import Site

pytestmark = [pytest.mark.node, pytest.mark.timeout(900, func_only=True)]

OVERLAY = Path(__file__).with_name("controller")
#: Seconds, on a machine that has nothing else to do.
PROMPT = 3.0


@pytest.fixture(scope="module")
def led(site: Site) -> Site:
    """The site with two controllers, of which one leads, and no right in the cluster for Django."""
    site.kubectl("apply", "-k", OVERLAY)
    # What is not in the manifests any more, as docs/controller.md says.
    site.kubectl("delete", "cronjob/userpods-sync", "-n", DJANGO)
    site.kubectl("delete", "rolebinding/userpods-django", "-n", USERS)
    for name in ("userpods-controller", "django"):
        site.rollout(f"deployment/{name}")
    wait_for(lambda: leader(site), "a leader", 60)
    return site


def leader(site: Site) -> str:
    """Return the name of the pod that leads; "" for none."""
    leases = site.get("leases", namespace=DJANGO)["items"]
    holders = [str(lease["spec"].get("holderIdentity") or "") for lease in leases]
    pods = site.pods("app.kubernetes.io/name=userpods-controller")
    names = [pod["metadata"]["name"] for pod in pods]
    return next((n for n in names if any(held.startswith(f"{n}_") for held in holders)), "")


INSERT = """
INSERT INTO auth_user (username, password, first_name, last_name, email,
                       is_active, is_staff, is_superuser, date_joined)
VALUES (:'name', :'password', '', '', '', true, false, false, now());
"""


def add_by_sql(site: Site, name: str) -> None:
    """Put a user into the table, without Django."""
    site.passwords[name] = f"long-enough-for-{name}-1"
    hasher = PBKDF2PasswordHasher()
    hashed = hasher.encode(site.passwords[name], hasher.salt())
    shell = 'PGPASSWORD=$POSTGRES_PASSWORD exec psql -U userpods -d userpods "$@"'
    psql = ["sh", "-c", shell, "psql", "-v", "ON_ERROR_STOP=1"]
    psql += ["-v", f"name={name}", "-v", f"password={hashed}"]
    site.cluster.kubectl("exec", "-i", "-n", DJANGO, "postgres-0", "--", *psql, input=INSERT)


def uid(site: Site, name: str) -> Any:
    """Return which Deployment of a name there is; None for none."""
    found = site.get("deployments", namespace=USERS)["items"]
    return next((it["metadata"]["uid"] for it in found if it["metadata"]["name"] == name), None)


def test_django_needs_no_right_in_the_cluster(led: Site) -> None:
    who = f"system:serviceaccount:{DJANGO}:userpods-django"
    can = ("auth", "can-i", "list", "deployments", "-n", USERS, f"--as={who}")
    assert led.cluster.kubectl(*can, check=False).stdout.strip() == "no"
    led.add_user("wendy")
    assert led.wait_for_pod(led.signed_in("wendy"))["user"] == "wendy"


def test_a_user_by_sql_has_an_answering_pod_in_three_seconds(led: Site, report: Report) -> None:
    add_by_sql(led, "frank")
    began = time.monotonic()
    wait_for(lambda: uid(led, "user-frank"), "a Deployment")
    assert led.wait_for_pod(led.signed_in("frank"))["user"] == "frank"
    took = time.monotonic() - began
    report.hold("a user put in by SQL, until the pod answers", took, bound=PROMPT)


def test_a_deleted_deployment_is_back_in_three_seconds(led: Site, report: Report) -> None:
    before = uid(led, "user-bob")
    led.kubectl("delete", "deployment/user-bob", "-n", USERS, "--wait=false")
    began = time.monotonic()
    wait_for(lambda: uid(led, "user-bob") not in (None, before), "another Deployment")
    took = time.monotonic() - began
    report.hold("a Deployment that is deleted by hand, until it is back", took, bound=PROMPT)
    assert led.wait_for_pod(led.signed_in("bob"))["user"] == "bob"


def test_a_leader_that_is_killed_under_load_is_missed_by_nobody(led: Site, report: Report) -> None:
    first = leader(led)
    with under_load(led, report, "the controller's leader killed") as load:
        led.kubectl("delete", f"pod/{first}", "-n", DJANGO, "--grace-period=0", "--force")
        add_by_sql(led, "grace")
        wait_for(lambda: leader(led) not in ("", first), "another leader", 60)
        wait_for(lambda: uid(led, "user-grace"), "a Deployment")
    assert load.summary() == "none"
    assert led.wait_for_pod(led.signed_in("grace"))["user"] == "grace"


def test_routers_that_are_rolled_while_a_service_is_made_again_find_it(led: Site) -> None:
    bob = led.signed_in("bob")
    before = led.get("service", "user-bob")["metadata"]["uid"]
    led.kubectl("delete", "service/user-bob", "-n", USERS, "--wait=false")
    led.replace("userpods-router")
    assert led.wait_for_pod(bob)["user"] == "bob"
    assert led.get("service", "user-bob")["metadata"]["uid"] != before


def test_why_a_pod_does_not_come_up_is_on_its_row(led: Site) -> None:
    """By what a real kubelet, container runtime and scheduler say."""
    unwell.make(led)
    left = dict(unwell.PODS)
    found: dict[str, tuple[str, str]] = {}

    def all_were_said() -> bool:
        found.update(unwell.rows(led))
        for name, pod in list(left.items()):
            state, message = found.get(name, ("", ""))
            if state == pod.state and all(word in message for word in pod.words):
                del left[name]
        return not left

    try:
        wait_for(all_were_said, "a word about each", 60 * busy())
    except TimeoutError:
        pytest.fail(f"{ {name: found.get(name) for name in left} }")
    finally:
        unwell.remove(led)
