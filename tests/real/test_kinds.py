"""What we know of kinds, held against what a real API server says and does."""

from __future__ import annotations

import copy
import json
import re
import secrets
from typing import TYPE_CHECKING, Any

import pytest

from django_userpods.clusters.kubernetes import KubernetesCluster
from django_userpods.clusters.kubernetes.discovery import group_path
from django_userpods.clusters.kubernetes.request import ApiCall
from django_userpods.clusters.kubernetes.retry import Deadline
from django_userpods.core import kinds
from django_userpods.core.fields import ANY, NOTHING, UNKNOWN, Field
from django_userpods.core.objects import Kind
from django_userpods.core.shape import compile_shape
from django_userpods.exceptions import ClusterError, Invalid
from tests.real.specimens import SPECIMENS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.testcluster.cluster import Cluster

pytestmark = pytest.mark.cluster

Schema = dict[str, Any]
#: What a template cannot set, or what is an object's identity.
NOT_DECLARED = {"apiVersion", "kind", "managedFields", "metadata", "status"}


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[KubernetesCluster]:
    client = KubernetesCluster(kubeconfig=cluster.kubeconfig, qps=0)
    client.list(kind=Kind("v1", "Namespace"), namespace=None, labels={})
    yield client
    client.close()


@pytest.fixture(scope="module")
def unrestricted(cluster: Cluster) -> Iterator[str]:
    """A namespace that admits pods of every kind; nothing is made in it."""
    name = f"test-{secrets.token_hex(5)}"
    cluster.kubectl("create", "namespace", name)
    # Pods are not admitted before their account is there.
    cluster.kubectl("-n", name, "wait", "serviceaccount/default", "--for=create")
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def ask(server: KubernetesCluster, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = ApiCall(method, path, f"{method} {path}", data)
    if method == "PATCH":
        request = ApiCall(method, path, path, data, "application/merge-patch+json")
    return json.loads(server._transport.call(request, Deadline(20)))


class Schemas:
    """The server's OpenAPI."""

    def __init__(self, server: KubernetesCluster) -> None:
        self._server = server
        self._known: dict[str, dict[str, Schema]] = {}

    def of(self, kind: Kind) -> dict[str, Schema]:
        if kind.api_version not in self._known:
            answer = ask(self._server, "GET", f"/openapi/v3{group_path(kind)}")
            self._known[kind.api_version] = answer["components"]["schemas"]
        return self._known[kind.api_version]

    def root(self, kind: Kind) -> str:
        for name, schema in self.of(kind).items():
            for entry in schema.get("x-kubernetes-group-version-kind", ()):
                if Kind(f"{entry['group']}/{entry['version']}".lstrip("/"), entry["kind"]) == kind:
                    return name
        raise AssertionError(kind)


@pytest.fixture(scope="module")
def schemas(server: KubernetesCluster) -> Schemas:
    return Schemas(server)


def reference(schema: Schema) -> str:
    for part in (schema, *schema.get("allOf", ())):
        if "$ref" in part:
            return str(part["$ref"]).rpartition("/")[2]
    return ""


def facts_of(schema: Schema) -> Field:
    """What the OpenAPI says of a field, in our words."""
    of_items, of_values = schema.get("items", {}), schema.get("additionalProperties", {})
    referred = reference(schema) or reference(of_values)
    is_map = schema.get("x-kubernetes-list-type") == "map"
    return Field(
        keys=tuple(schema["x-kubernetes-list-map-keys"]) if is_map else (),
        is_set=schema.get("x-kubernetes-list-type") == "set",
        is_quantity=referred.endswith(".Quantity") or reference(of_items).endswith(".Quantity"),
        is_bytes="byte" in (schema.get("format"), of_values.get("format")),
        is_whole=schema.get("x-kubernetes-map-type") == "atomic",
    )


def disagreements(
    all_of: dict[str, Schema], name: str, field: Field, seen: set[tuple[str, str]]
) -> Iterator[str]:
    """What is known of a type, against its schema and those below it."""
    if (name, field.type) in seen:
        return
    seen.add((name, field.type))
    schema = all_of[name]
    properties = schema.get("properties", {})
    if field.type:
        if kinds._TYPES[field.type].is_atomic != (schema.get("x-kubernetes-map-type") == "atomic"):
            yield f"{field.type}: atomic"
        one_of = kinds._TYPES[field.type].one_of - {"*"}
        for known in (kinds._TYPES[field.type].fields.keys() | one_of) - properties.keys():
            yield f"{field.type}.{known}: there is no such field"
    for key, below in properties.items():
        if key in {"managedFields", "status"}:
            continue
        ours, theirs = kinds.field_in(field, key), facts_of(below)
        for fact in ("keys", "is_set", "is_quantity", "is_bytes", "is_whole"):
            if getattr(ours, fact) != getattr(theirs, fact):
                yield f"{name} ({field.type}).{key}: {fact} is {getattr(theirs, fact)}"
        inner = reference(below.get("items", {})) or reference(below)
        if inner and "properties" in all_of[inner]:
            yield from disagreements(all_of, inner, Field(ours.type), seen)


NAMESPACED = [kind for kind, known in kinds.built_in() if known.namespaced]


@pytest.mark.parametrize("kind", NAMESPACED, ids=str)
def test_fields_are_what_the_openapi_says(schemas: Schemas, kind: Kind) -> None:
    root = schemas.root(kind)
    assert list(disagreements(schemas.of(kind), root, kinds.field_of(kind), set())) == []


def test_resources_are_what_discovery_says(server: KubernetesCluster) -> None:
    answers: dict[str, list[dict[str, Any]]] = {}
    for kind, known in kinds.built_in():
        path = group_path(kind)
        if path not in answers:
            answers[path] = ask(server, "GET", path)["resources"]
        (found,) = (r for r in answers[path] if r["kind"] == kind.kind and "/" not in r["name"])
        assert (known.plural, known.namespaced) == (found["name"], found["namespaced"]), kind


ZEROES: dict[str, list[Any]] = {
    "string": [""],
    "integer": [0],
    "number": [0],
    "boolean": [False],
    "array": [[]],
    "object": [{}],
}


def zeroes(all_of: dict[str, Schema], schema: Schema) -> list[Any]:
    """The values of a field that are as good as none, if they are not a value of their own."""
    inner = reference(schema)
    if inner.endswith(".Quantity"):
        return ["0", 0, None]
    if inner.endswith(".IntOrString"):
        return [0, "", None]
    kind = schema.get("type") or ("object" if "properties" in all_of.get(inner, {}) else "string")
    return [*ZEROES[kind], None]


def nodes(
    all_of: dict[str, Schema], value: Any, name: str, path: tuple[str | int, ...], field: Field
) -> Iterator[tuple[tuple[str | int, ...], str, Field]]:
    """Every mapping of an object: its path, its type in the OpenAPI, and what we know of it."""
    yield path, name, field
    for key, below in all_of[name].get("properties", {}).items():
        if key not in value or (key == "metadata" and not path):
            continue
        ours = Field(kinds.field_in(field, key).type)
        if isinstance(value[key], list) and (inner := reference(below["items"])):
            for index, item in enumerate(value[key]):
                yield from nodes(all_of, item, inner, (*path, key, index), ours)
        elif isinstance(value[key], dict) and (inner := reference(below)):
            yield from nodes(all_of, value[key], inner, (*path, key), ours)


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "specimen", SPECIMENS, ids=[f"{one['apiVersion']}/{one['kind']}" for one in SPECIMENS]
)
def test_a_value_that_is_none_is_no_endless_difference(
    server: KubernetesCluster, schemas: Schemas, unrestricted: str, specimen: dict[str, Any]
) -> None:
    kind = Kind.of(specimen)
    all_of, field_of = schemas.of(kind), kinds.field_of(kind)
    known = kinds.about(kind)
    assert known is not None
    url = f"{group_path(kind)}/namespaces/{unrestricted}/{known.plural}"
    url += "?dryRun=All&fieldValidation=Strict"
    whole = ask(server, "POST", url, specimen)
    assert not list(compile_shape(specimen, where=kind.kind, field=field_of).differences(whole, {}))
    wrong, done = [], set()
    for path, name, field in nodes(all_of, specimen, schemas.root(kind), (), field_of):
        if name.endswith(".ObjectMeta"):
            continue
        for key, below in all_of[name].get("properties", {}).items():
            if key in NOT_DECLARED and (not path or key != "metadata"):
                continue
            for zero in zeroes(all_of, below):
                if (name, key, repr(zero)) in done:
                    continue
                declared = copy.deepcopy(specimen)
                at(declared, path)[key] = zero
                try:
                    answer = ask(server, "POST", url, declared)
                except ClusterError:
                    continue
                done.add((name, key, repr(zero)))
                shape = compile_shape(declared, where=kind.kind, field=field_of)
                wrong += [f"{path} {key}={zero!r}: {d.path}" for d in shape.differences(answer, {})]
                wrong += judged(kinds.field_in(field, key), key, zero, at(answer, path))
    assert wrong == []


def judged(field: Field, key: str, zero: Any, answered: Any) -> Iterator[str]:
    """Tell where what is known of a field is not what the server made of a value that is none."""
    found = answered.get(key) if isinstance(answered, dict) else None
    if zero is None or field.is_quantity:
        return
    if found in (None, zero) and (found is not None) != field.counts:
        yield f"{key}={zero!r} counts: {not field.counts} ({field.type})"
    if found and not isinstance(zero, dict) and not field.keys:
        if field.default is NOTHING:
            yield f"{key}={zero!r} becomes {found!r}"
        elif field.default is not ANY and field.default != found:
            yield f"{key}={zero!r} becomes {found!r}, not {field.default!r}"


CHANGED: dict[str, Any] = {
    "spec.selector": {"matchLabels": {"app": "y"}},
    "spec.clusterIP": "10.96.200.200",
    "spec.accessModes": ["ReadOnlyMany"],
    "spec.storageClassName": "another",
    "spec.volumeMode": "Block",
    "spec.podManagementPolicy": "Parallel",
    "spec.serviceName": "another",
    "spec.volumeClaimTemplates": None,
    "spec.completionMode": "Indexed",
    "spec.template": {"spec": {"hostNetwork": True}},
    "spec.scopes": ["BestEffort"],
    "roleRef": {"name": "another"},
    "type": "another",
    "addressType": "IPv6",
}
WITH_FIXED = {
    one["kind"]: one for one in SPECIMENS if (known := kinds.about(Kind.of(one))) and known.fixed
}


@pytest.mark.parametrize("kind", sorted(WITH_FIXED))
def test_fields_that_cannot_be_changed_are_refused(
    server: KubernetesCluster, namespace: str, kind: str
) -> None:
    specimen = WITH_FIXED[kind]
    known = kinds.about(Kind.of(specimen))
    assert known is not None
    url = f"{group_path(Kind.of(specimen))}/namespaces/{namespace}/{known.plural}"
    ask(server, "POST", url, {**specimen, "metadata": {"name": "fixed"}})
    for path in known.fixed:
        *outer, last = path
        patch: Any = {last: CHANGED[".".join(path)]}
        for step in reversed(outer):
            patch = {step: patch}
        place = re.escape(".".join(path))
        with pytest.raises(Invalid, match=rf"(?i)immutable|forbidden|cannot change|{place}"):
            ask(server, "PATCH", f"{url}/fixed", patch)


def test_of_an_unknown_kind_nothing_is_known() -> None:
    assert kinds.field_of(Kind("example.org/v1", "Deployment")) == UNKNOWN
    assert kinds.field_in(UNKNOWN, "containers") == UNKNOWN
    assert not re.search("Widget", repr(list(kinds.built_in())))
