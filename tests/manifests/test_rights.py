"""Everything that each ServiceAccount of ours may do, asked of the real API server.

The whole matrix: every verb, for every resource and subresource that the server has, in the
namespaces of Django and of users, in a stranger's, and in all. What is allowed is written down here
word for word; all else has to be denied. A new right has to be written down, too, and
docs/security.md has to say what it is for.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from kubernetes.config import new_client_from_config

from tests.manifests.conftest import built
from tests.manifests.test_bases import BASES, pods_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kubernetes.client import ApiClient

    from tests.manifests.conftest import Site
    from tests.testcluster.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600, func_only=True)]

#: Every verb, also those that only rights themselves, certificates and the like know.
VERBS = (
    *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
    *("bind", "escalate", "impersonate", "approve", "sign", "attest", "use", "proxy", "*"),
)
#: What discovery does not name: what may be impersonated, and "all there is".
UNNAMED = ("users", "groups", "uids", "userextras/scopes", "*", "*/*")
ALL = ""


class Right(NamedTuple):
    """One verb on one resource (``deployments.apps``, ``pods/log``) in a namespace, or in ALL."""

    verb: str
    resource: str
    namespace: str

    def review(self, user: str, groups: list[str]) -> dict[str, Any]:
        """Return the question whether this user has the right."""
        path, _, group = self.resource.partition(".")
        resource, _, subresource = path.partition("/")
        attributes = {
            "verb": self.verb,
            "group": "*" if self.resource in ("*", "*/*") else group,
            "resource": resource,
            "subresource": subresource,
            "namespace": self.namespace,
        }
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "groups": groups, "resourceAttributes": attributes},
        }


#: What every authenticated user of any cluster may ask: who am I, and what may I do?
ANYBODY = {
    Right("create", resource, ALL)
    for resource in (
        "selfsubjectaccessreviews.authorization.k8s.io",
        "selfsubjectrulesreviews.authorization.k8s.io",
        "selfsubjectreviews.authentication.k8s.io",
    )
}


def of_election(namespace: str) -> set[Right]:
    """What the controller may do in Django's namespace, for one of them to lead."""
    lease = "leases.coordination.k8s.io"
    return {Right(verb, lease, namespace) for verb in ("create", "get", "update")}


def of_django(namespace: str) -> set[Right]:
    """What Django may do in a namespace, and nothing else."""
    verbs = {
        "deployments.apps": ("create", "delete", "get", "list", "patch", "watch"),
        "services": ("create", "delete", "get", "list", "patch", "watch"),
        "pods": ("list", "watch"),
    }
    return {Right(verb, kind, namespace) for kind in verbs for verb in verbs[kind]}


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[ApiClient]:
    """The API server's administrator."""
    with new_client_from_config(str(cluster.kubeconfig), persist_config=False) as client:
        yield client


def call(api: ApiClient, method: str, path: str, body: Any = None) -> Any:
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    headers |= {
        setting["key"]: setting["value"]
        for setting in api.configuration.auth_settings().values()
        if setting["in"] == "header"
    }
    response = api.rest_client.pool_manager.request(
        method, f"{api.configuration.host}{path}", headers=headers, body=json.dumps(body)
    )
    assert response.status < 300, (path, response.data)
    return json.loads(response.data)


@pytest.fixture(scope="module")
def resources(api: ApiClient) -> dict[str, bool]:
    """Every resource and subresource, and whether it is of a namespace."""
    versions = {"v1": "/api/v1"}
    for group in call(api, "GET", "/apis")["groups"]:
        for version in group["versions"]:
            versions[version["groupVersion"]] = f"/apis/{version['groupVersion']}"
    found = dict.fromkeys(UNNAMED, True)
    for name, path in versions.items():
        group = name.rpartition("/")[0]
        for resource in call(api, "GET", path)["resources"]:
            plural = f"{resource['name']}.{group}" if group else resource["name"]
            found[plural] = found.get(plural, False) or resource["namespaced"]
    return found


def allowed(
    api: ApiClient, resources: dict[str, bool], account: tuple[str, str], namespaces: Iterable[str]
) -> set[Right]:
    """Ask for every right; return those that the account (its namespace and name) has."""
    home, name = account
    user = f"system:serviceaccount:{home}:{name}"
    groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{home}"]
    questions = [
        Right(verb, resource, namespace)
        for resource, is_namespaced in resources.items()
        for namespace in ([*namespaces, ALL] if is_namespaced else [ALL])
        for verb in VERBS
    ]
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

    def has(right: Right) -> bool:
        status = call(api, "POST", path, right.review(user, groups))["status"]
        assert "evaluationError" not in status, status
        return bool(status["allowed"])

    with ThreadPoolExecutor(8) as pool:
        return {
            right for right, yes in zip(questions, pool.map(has, questions), strict=True) if yes
        }


def test_the_questions_are_those_that_matter(resources: dict[str, bool]) -> None:
    for resource in (
        *("secrets", "pods/exec", "pods/attach", "pods/portforward", "pods/log", "pods/proxy"),
        *("pods/ephemeralcontainers", "pods/eviction", "services/proxy", "services/status"),
        *("serviceaccounts/token", "endpoints", "endpointslices.discovery.k8s.io"),
        *("networkpolicies.networking.k8s.io", "ingresses.networking.k8s.io"),
        *("roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io"),
        *("clusterroles.rbac.authorization.k8s.io", "deployments/scale.apps", "replicasets.apps"),
        *("jobs.batch", "persistentvolumeclaims", "configmaps", "events", "resourcequotas"),
    ):
        assert resource in resources, resource
    for resource in ("nodes", "nodes/proxy", "namespaces", "persistentvolumes"):
        assert resources[resource] is False


def test_django_has_these_rights_in_the_namespace_of_users_and_no_other(
    site: Site, api: ApiClient, resources: dict[str, bool], namespace: str
) -> None:
    site.cluster.kubectl("create", "namespace", site.django)
    site.apply("isolation", "rbac")
    account = (site.django, "userpods-django")
    found = allowed(api, resources, account, [site.users, site.django, namespace, "kube-system"])
    assert found == of_django(site.users) | ANYBODY


def of_logs(namespace: str) -> set[Right]:
    """What Django may see of users' pods in a namespace, where that is wanted."""
    return {Right("list", "events", namespace), Right("get", "pods/log", namespace)}


def test_the_option_for_logs_adds_these_two_rights_and_no_other(
    site: Site, api: ApiClient, resources: dict[str, bool], namespace: str
) -> None:
    site.cluster.kubectl("create", "namespace", site.django)
    site.apply("isolation", "rbac")
    site.cluster.kubectl("apply", "-k", site.folder / "rbac" / "logs")
    account = (site.django, "userpods-django")
    found = allowed(api, resources, account, [site.users, site.django, namespace, "kube-system"])
    assert found == of_django(site.users) | of_logs(site.users) | ANYBODY


def test_beside_the_controller_django_may_see_logs_and_nothing_more(
    site: Site, api: ApiClient, resources: dict[str, bool]
) -> None:
    site.cluster.kubectl("create", "namespace", site.django)
    site.apply("isolation")
    site.cluster.kubectl("apply", "-k", site.write("rbac") / "rbac" / "logs")
    account = (site.django, "userpods-django")
    found = allowed(api, resources, account, [site.users])
    assert found == of_logs(site.users) | {Right("list", "pods", site.users)} | ANYBODY


def test_both_have_the_same_in_all_namespaces_where_they_are_chosen_per_user(
    site: Site, api: ApiClient, resources: dict[str, bool], namespace: str, cluster_wide: str
) -> None:
    account = (cluster_wide, "userpods-django")
    found = allowed(api, resources, account, [namespace, "kube-system"])
    everywhere = (of_django(where) for where in (namespace, "kube-system", ALL))
    assert found == ANYBODY.union(*everywhere)
    # The controller's are those and its Lease.
    account = (cluster_wide, "userpods-controller")
    found = allowed(api, resources, account, [namespace, cluster_wide])
    everywhere = (of_django(where) for where in (namespace, cluster_wide, ALL))
    assert found == ANYBODY.union(of_election(cluster_wide), *everywhere)


def test_the_controller_has_these_rights_and_no_others(
    site: Site, api: ApiClient, resources: dict[str, bool], namespace: str
) -> None:
    site.cluster.kubectl("create", "namespace", site.django)
    site.apply("isolation", "controller")
    account = (site.django, "userpods-controller")
    found = allowed(api, resources, account, [site.users, site.django, namespace, "kube-system"])
    assert found == of_django(site.users) | of_election(site.django) | ANYBODY


@pytest.mark.parametrize("place", ["django", "users"])
def test_who_runs_without_an_account_of_ours_has_no_rights(
    site: Site, api: ApiClient, resources: dict[str, bool], place: str
) -> None:
    """The router, the database and users' pods: ``default``, whose token none of them has."""
    site.cluster.kubectl("create", "namespace", site.django)
    site.apply("isolation", "rbac")
    home = getattr(site, place)
    assert allowed(api, resources, (home, "default"), [site.users, site.django]) == ANYBODY


def test_there_are_two_accounts_and_only_django_and_the_controller_get_their_tokens(
    cluster: Cluster,
) -> None:
    objects = [item for folder in BASES for item in built(cluster, folder)]
    accounts = [item for item in objects if item["kind"] == "ServiceAccount"]
    names = {"userpods-django", "userpods-controller"}
    assert {item["metadata"]["name"] for item in accounts} == names
    assert not any(item["automountServiceAccountToken"] for item in accounts)
    bindings = [item for item in objects if item["kind"].endswith("RoleBinding")]
    for item in bindings:
        whose = item["metadata"]["name"].removesuffix("-lease").removesuffix("-logs")
        assert [subject["name"] for subject in item["subjects"]] == [whose]
        assert whose in names
    with_token = {
        name: template["spec"].get("serviceAccountName")
        for name, template in pods_of(objects)
        if template["spec"].get("automountServiceAccountToken", True)
    }
    assert {name.split()[1]: account for name, account in with_token.items()} == {
        "django": "userpods-django",
        "userpods-sync": "userpods-django",
        "userpods-controller": "userpods-controller",
    }
