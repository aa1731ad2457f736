"""Who may connect to whom, by the shipped NetworkPolicies: the whole matrix, word for word.

The rules of Kubernetes' NetworkPolicy are few and written out here; that a real node keeps to them
is what tests/e2e/test_isolation.py tries. A connection needs both sides: an egress rule of the
sender and an ingress rule of the receiver, each of which is needed only where some policy selects
the pod for that direction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from django_userpods.core import naming
from django_userpods.deploy import kustomize, shipped

if TYPE_CHECKING:
    from collections.abc import Iterator

PORTS = (53, 80, 443, 5353, 5432, 8000, 8080, 8081, 8090)
#: A sender or receiver that is no pod is known by its address alone.
OUTSIDE = {
    "internet": "93.184.216.34",
    "internet (IPv6)": "2606:2800:21f:cb07::1",
    "API server": "10.96.0.1",
    "API server (IPv6)": "fd00:10:96::1",
    "node": "192.168.7.20",
    "carrier-grade NAT": "100.64.0.9",
    "metadata server": "169.254.169.254",
    "metadata server (IPv6)": "fd00:ec2::254",
    "metadata server (NAT64)": "64:ff9b::a9fe:a9fe",
}


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod with its namespace and labels, or an address."""

    name: str
    address: str
    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict, hash=False)


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Tell whether a LabelSelector matches; only what our manifests use is known here."""
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def admits(peer: dict[str, Any], end: End, home: str) -> bool:
    """Tell whether an item of ``from`` or ``to`` means this end; ``home`` is the policy's place."""
    if "ipBlock" in peer:
        address, block = ip_address(end.address), peer["ipBlock"]
        return (
            not end.namespace
            and address in ip_network(block["cidr"])
            and not any(address in ip_network(cidr) for cidr in block.get("except", []))
        )
    if not end.namespace:
        return False
    if "namespaceSelector" in peer:
        place = {"kubernetes.io/metadata.name": end.namespace}
        if not selects(peer["namespaceSelector"], place):
            return False
    elif end.namespace != home:
        return False
    return selects(peer.get("podSelector", {}), end.labels)


@dataclass(frozen=True)
class Network:
    policies: list[dict[str, Any]]

    def one_way(self, end: End, other: End, port: int, way: str) -> bool:
        """Tell whether the policies that select ``end`` let it speak to the other in this way."""
        mine = [
            policy["spec"]
            for policy in self.policies
            if policy["metadata"]["namespace"] == end.namespace
            and selects(policy["spec"]["podSelector"], end.labels)
            and way in policy["spec"]["policyTypes"]
        ]
        rules = [rule for spec in mine for rule in spec.get(way.lower(), [])]
        peers = "from" if way == "Ingress" else "to"
        return not mine or any(
            (not rule.get(peers) or any(admits(peer, other, end.namespace) for peer in rule[peers]))
            and (not rule.get("ports") or port in {item["port"] for item in rule["ports"]})
            for rule in rules
        )

    def lets(self, sender: End, receiver: End, port: int) -> bool:
        return self.one_way(sender, receiver, port, "Egress") and self.one_way(
            receiver, sender, port, "Ingress"
        )


def pods(objects: list[dict[str, Any]]) -> Iterator[End]:
    """The pods of the manifests, two of users, and some strangers."""
    for item in objects:
        if item["kind"] in {"Deployment", "StatefulSet", "CronJob"}:
            spec = item["spec"].get("jobTemplate", item)["spec"]
            labels = spec["template"]["metadata"]["labels"]
            yield End(item["metadata"]["name"], "10.1.0.1", item["metadata"]["namespace"], labels)
    ours = {naming.MANAGED_BY_LABEL: naming.MANAGED_BY}
    for name in ("user-alice", "user-bob"):
        yield End(name, "10.1.0.2", "userpods-users", {"app": name, **ours})
    yield End("stranger beside users", "10.1.0.3", "userpods-users", {"app": "stranger"})
    yield End("stranger beside Django", "10.1.0.4", "userpods", {"app": "stranger"})
    yield End("stranger", "10.1.0.5", "default", {"app": "stranger"})
    # Labels are no names: anybody may put them on pods in a namespace of their own.
    mask = {"app.kubernetes.io/name": "userpods-router"}
    yield End("a false router", "10.1.0.6", "default", mask)
    yield End("a false router beside users", "10.1.0.7", "userpods-users", mask)
    controller = {"app.kubernetes.io/name": "ingress-nginx"}
    yield End("ingress-nginx", "10.1.0.9", "ingress-nginx", controller)
    yield End("a false ingress-nginx", "10.1.0.10", "default", controller)
    yield End("prometheus", "10.1.0.11", "monitoring", {"app.kubernetes.io/name": "prometheus"})
    yield End("kube-dns", "10.1.0.8", "kube-system", {"k8s-app": "kube-dns"})


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    top = shipped.source()
    folders = [top / name for name in ("isolation", "example", "router")]
    return [item for item in yaml.safe_load_all(kustomize.build(folders)) if item]


@pytest.fixture(scope="module")
def found(objects: list[dict[str, Any]]) -> dict[str, dict[str, set[int]]]:
    return matrix(objects)


def matrix(objects: list[dict[str, Any]]) -> dict[str, dict[str, set[int]]]:
    """Receiver, sender, and at which ports they may meet."""
    network = Network([item for item in objects if item["kind"] == "NetworkPolicy"])
    inside = list(pods(objects))
    outside = [End(name, address) for name, address in OUTSIDE.items()]
    found: dict[str, dict[str, set[int]]] = {}
    for receiver in [*inside, *outside]:
        for sender in [*inside, *outside]:
            if sender.namespace or receiver.namespace:
                open_ports = {port for port in PORTS if network.lets(sender, receiver, port)}
                if open_ports and sender != receiver:
                    found.setdefault(receiver.name, {})[sender.name] = open_ports
    return found


EVERYONE = {
    *("django", "userpods-sync", "stranger beside Django", "stranger", "a false router"),
    *("ingress-nginx", "a false ingress-nginx", "prometheus", "kube-dns", *OUTSIDE),
}


def test_a_users_pod_is_reached_by_the_router_alone(
    found: dict[str, dict[str, set[int]]],
) -> None:
    for name in ("user-alice", "user-bob"):
        assert found[name] == {"userpods-router": set(PORTS)}


def test_a_users_pod_reaches_names_and_the_internet_alone(
    found: dict[str, dict[str, set[int]]],
) -> None:
    for name in ("user-alice", "user-bob"):
        reached = {receiver: ports[name] for receiver, ports in found.items() if name in ports}
        assert reached == {
            "kube-dns": {53, 5353},
            "internet": set(PORTS),
            "internet (IPv6)": set(PORTS),
        }


def test_the_sites_own_parts_are_reached_by_each_other_alone(
    found: dict[str, dict[str, set[int]]],
) -> None:
    # The router comes to Django itself, everyone else, whom a gateway brings, to nginx before it.
    others = {sender: {8080} for sender in EVERYONE - {"django"}}
    assert found["django"] == others | {"userpods-router": {8000}}
    assert found["postgres"] == {"django": {5432}, "userpods-sync": {5432}}
    internal = {sender for sender, ports in found["userpods-router"].items() if 8081 in ports}
    assert internal == {"django", "userpods-sync"}
    public = {sender for sender, ports in found["userpods-router"].items() if 8080 in ports}
    assert public == EVERYONE
    assert {port for ports in found["userpods-router"].values() for port in ports} == {8080, 8081}
    for name in ("userpods-sync", "stranger beside users", "a false router beside users"):
        assert name not in found


def test_the_controller_comes_where_the_sync_does_and_is_reached_by_prometheus_alone(
    objects: list[dict[str, Any]], found: dict[str, dict[str, set[int]]]
) -> None:
    alone = kustomize.build([shipped.source() / "controller"])
    before = matrix([*objects, *(item for item in yaml.safe_load_all(alone) if item)])
    assert "userpods-controller" not in before
    more = kustomize.build([shipped.source() / name for name in ("controller", "monitoring")])
    now = matrix([*objects, *(item for item in yaml.safe_load_all(more) if item)])
    assert now["userpods-controller"] == {"prometheus": {8090}}
    mine, syncs = (
        {receiver: ports[name] for receiver, ports in now.items() if name in ports}
        for name in ("userpods-controller", "userpods-sync")
    )
    assert mine == syncs
    others = {receiver: now[receiver] for receiver in found}
    for ports in others.values():
        ports.pop("userpods-controller", None)
    assert others == found


def gained(
    now: dict[str, dict[str, set[int]]], before: dict[str, dict[str, set[int]]]
) -> dict[str, dict[str, set[int]]]:
    """What is open now and was not before, as a matrix."""
    found: dict[str, dict[str, set[int]]] = {}
    for receiver, senders in now.items():
        for sender, ports in senders.items():
            if new := ports - before.get(receiver, {}).get(sender, set()):
                found.setdefault(receiver, {})[sender] = new
    return found


def test_where_applications_are_asked_the_controller_and_the_sync_reach_pods_and_nobody_else(
    objects: list[dict[str, Any]],
) -> None:
    def so(*folders: str) -> dict[str, dict[str, set[int]]]:
        more = kustomize.build([shipped.source() / name for name in folders])
        return matrix([*objects, *impostors, *(i for i in yaml.safe_load_all(more) if i)])

    # A label is no name: these are called as the controller is, where that is not.
    impostors = [impostor("users", "userpods-users"), impostor("elsewhere", "default")]
    before, now = so("controller"), so("controller", "isolation/ask")
    whom = {"userpods-controller": set(PORTS), "userpods-sync": set(PORTS)}
    assert gained(now, before) == {"user-alice": whom, "user-bob": whom}
    assert gained(before, now) == {}


def impostor(name: str, namespace: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "userpods-controller"}
    template = {"metadata": {"labels": labels}}
    metadata = {"name": f"impostor-{name}", "namespace": namespace}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"template": template}}


def test_the_router_and_the_database_reach_what_they_need_alone(
    found: dict[str, dict[str, set[int]]],
) -> None:
    def reached(name: str) -> dict[str, set[int]]:
        return {receiver: ports[name] for receiver, ports in found.items() if name in ports}

    assert reached("userpods-router") == {
        "django": {8000},
        "user-alice": set(PORTS),
        "user-bob": set(PORTS),
        "kube-dns": {53, 5353},
    }
    assert reached("postgres") == {}
    assert reached("stranger beside users") == {}


def test_ingress_nginx_comes_where_the_router_does_and_nobody_else(
    objects: list[dict[str, Any]], found: dict[str, dict[str, set[int]]]
) -> None:
    more = kustomize.build([shipped.source() / "ingress-nginx"])
    now = matrix([*objects, *(item for item in yaml.safe_load_all(more) if item)])
    assert gained(now, found) == {
        "user-alice": {"ingress-nginx": set(PORTS)},
        "user-bob": {"ingress-nginx": set(PORTS)},
        "django": {"ingress-nginx": {8000}},
    }
