"""What a real API server adds to the objects we use, and what it refuses.

After Kubernetes' ``pkg/apis/core/v1/defaults.go`` and ``pkg/apis/apps/v1/defaults.go`` as its API
reference documents them: enough of it that code which compares declared fields with stored ones
meets the same differences here as on a cluster.
"""

from __future__ import annotations

import base64
import re
from decimal import ROUND_UP, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from django_userpods.core import kinds
from django_userpods.core.fields import Field
from django_userpods.core.objects import Kind
from django_userpods.exceptions import Invalid

if TYPE_CHECKING:
    from django_userpods.core.objects import Manifest, Ref

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_QUANTITY = re.compile(r"([+-]?[0-9.]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?")
_TYPE = ("spec", "type")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def canonical_quantity(value: object) -> str:
    """Return a quantity in the form the API server stores: ``1000m`` is ``1``, ``1024Mi`` ``1Gi``.

    Raises Invalid for what is no quantity. See Kubernetes, "Quantity", canonical form.
    """
    text = str(value)
    match = _QUANTITY.fullmatch(text)
    try:
        number = Decimal(match[1]) if match else None
    except InvalidOperation:
        number = None
    if match is None or number is None:
        raise Invalid(f"{text!r} is not a quantity such as 500m, 2 or 64Mi", status=422)
    suffix = match[2] or ""
    if suffix.endswith("i"):
        step = _BINARY.index(suffix)
        while number and number % 1024 == 0 and step < len(_BINARY) - 1:
            number, step = number / 1024, step + 1
        while number % 1 and step:
            number, step = number * 1024, step - 1
        return f"{int(number)}{_BINARY[step]}"
    names = _DECIMAL
    if suffix not in _DECIMAL:  # 1e3 stays in exponents, in steps of three
        number, suffix = number.scaleb(int(suffix[1:])), ""
        names = {f"e{step}" if step else "": step for step in range(-9, 19, 3)}
    else:
        number = number.scaleb(_DECIMAL[suffix])
    for name, exponent in reversed(names.items()):
        scaled = number.scaleb(-exponent)
        if scaled % 1 == 0 and (number or not name):
            return f"{int(scaled)}{name}"
    return f"{int(number.scaleb(9).to_integral_value(rounding=ROUND_UP))}n"


def check(manifest: Manifest) -> None:
    """Raise Invalid for the mistakes a real API server would not let through."""
    kind, metadata = manifest["kind"], manifest["metadata"]
    name = metadata.get("name", "")
    pattern = _LABEL if kind == "Service" else _NAME
    if len(name) > 253 or not pattern.fullmatch(name):
        raise Invalid(f'{kind} "{name}" is invalid: metadata.name: Invalid value', status=422)
    for key, value in (metadata.get("labels") or {}).items():
        if not isinstance(value, str) or len(value) > 63:
            raise Invalid(f'{kind} "{name}" is invalid: metadata.labels: {key}', status=422)
    if kind == "Deployment":
        _check_deployment(manifest, name)
    elif kind == "Service" and not (manifest.get("spec") or {}).get("ports"):
        raise Invalid(f'Service "{name}" is invalid: spec.ports: Required value', status=422)


def _check_deployment(manifest: Manifest, name: str) -> None:
    spec = manifest.get("spec") or {}
    template = spec.get("template") or {}
    wanted = (spec.get("selector") or {}).get("matchLabels") or {}
    labels = (template.get("metadata") or {}).get("labels") or {}
    if not wanted or not wanted.items() <= labels.items():
        raise Invalid(
            f'Deployment "{name}" is invalid: spec.template.metadata.labels: '
            "`selector` does not match template `labels`",
            status=422,
        )
    containers = (template.get("spec") or {}).get("containers")
    if not containers or not all(item.get("image") for item in containers):
        raise Invalid(
            f'Deployment "{name}" is invalid: spec.template.spec.containers: Required value',
            status=422,
        )


def fill_in(manifest: Manifest) -> None:
    """Write values as the server does, and add the defaults of a Deployment or a Service.

    In place; of other kinds the defaults are not known here.
    """
    _written(manifest, kinds.field_of(Kind.of(manifest)))
    if manifest["kind"] == "Deployment":
        _deployment(manifest["spec"])
    elif manifest["kind"] == "Service":
        _service(manifest["spec"])


def _written(value: Any, field: Field) -> Any:  # noqa: ANN401 - any JSON value
    """Return a value as the server answers it: amounts, base64, nothing that is none."""
    if isinstance(value, dict):
        for key in list(value):
            inner = kinds.field_in(field, key)
            value[key] = _written(value[key], inner)
            if field.type and key != "metadata" and _is_left_out(value[key], inner):
                del value[key]
    elif isinstance(value, list):
        value[:] = [_written(item, Field(field.type)) for item in value]
    elif field.is_quantity:
        return canonical_quantity(value)
    elif field.is_bytes:
        return base64.b64encode(base64.b64decode(value)).decode()
    return value


def _is_left_out(value: Any, field: Field) -> bool:  # noqa: ANN401 - any JSON value
    """Tell whether the server takes a zero or empty value for none."""
    return not value and not field.counts


def _default(target: Manifest, **values: Any) -> None:  # noqa: ANN401 - any JSON value
    for key, value in values.items():
        target.setdefault(key, value)


def _deployment(spec: Manifest) -> None:
    _default(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={})
    strategy = spec["strategy"]
    _default(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _default(strategy, rollingUpdate={})
        _default(strategy["rollingUpdate"], maxSurge="25%", maxUnavailable="25%")
    pod = spec["template"]["spec"]
    _default(pod, restartPolicy="Always", terminationGracePeriodSeconds=30, securityContext={})
    _default(pod, dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
    if "serviceAccountName" in pod:
        pod["serviceAccount"] = pod["serviceAccountName"]
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        _container(container)
    for volume in pod.get("volumes", []):
        if volume.keys() == {"name"}:
            volume["emptyDir"] = {}
        for source in ("secret", "configMap", "projected", "downwardAPI"):
            if source in volume:
                _default(volume[source], defaultMode=420)


def _container(container: Manifest) -> None:
    image = container["image"].rpartition("/")[2]
    latest = "@" not in image and (":" not in image or image.endswith(":latest"))
    _default(
        container,
        imagePullPolicy="Always" if latest else "IfNotPresent",
        resources={},
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
    )
    for port in container.get("ports", []):
        _default(port, protocol="TCP")
    for variable in container.get("env", []):
        _variable(variable)
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name in container:
            _default(container[name], **_PROBE)
            if "httpGet" in container[name]:
                _default(container[name]["httpGet"], path="/", scheme="HTTP")


def _variable(variable: Manifest) -> None:
    field = (variable.get("valueFrom") or {}).get("fieldRef")
    if field is not None:
        _default(field, apiVersion="v1")


def _service(spec: Manifest) -> None:
    _default(spec, type="ClusterIP", sessionAffinity="None")
    if spec["type"] != "ExternalName":
        _default(spec, internalTrafficPolicy="Cluster", ipFamilies=["IPv4"])
        _default(spec, ipFamilyPolicy="SingleStack")
    for port in spec.get("ports", []):
        _default(port, protocol="TCP", targetPort=port["port"])


def give_status(wanted: Manifest) -> None:
    """Play the controllers: what runs pods is ready at once."""
    wanted.pop("status", None)
    if wanted["kind"] == "Service":
        wanted["status"] = {"loadBalancer": {}}
    elif wanted["kind"] == "Deployment":
        status = {"observedGeneration": wanted["metadata"]["generation"]}
        replicas = wanted["spec"]["replicas"]
        if replicas:
            for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"):
                status[name] = replicas
        condition = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}
        wanted["status"] = {**status, "conditions": [condition]}
    elif wanted["kind"] == "StatefulSet":
        generation, replicas = wanted["metadata"]["generation"], wanted["spec"].get("replicas", 1)
        ready = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), replicas)
        wanted["status"] = {"observedGeneration": generation, **ready}
    elif wanted["kind"] == "DaemonSet":
        generation = wanted["metadata"]["generation"]
        counted = ("desiredNumberScheduled", "numberReady", "updatedNumberScheduled")
        ready = dict.fromkeys(counted, 1)
        wanted["status"] = {"observedGeneration": generation, **ready}
    elif wanted["kind"] == "Job":
        wanted["status"] = {"succeeded": 1}


def check_immutable(ref: Ref, before: Manifest, wanted: Manifest) -> None:
    """Raise Invalid where a field is changed that cannot be."""
    known = kinds.about(ref.kind)
    for path in known.fixed if known is not None else ():
        old, new = _at(before, path), _at(wanted, path)
        if ref.kind.kind == "Service" and _at(before, _TYPE) != _at(wanted, _TYPE):
            continue
        if old != new:
            raise Invalid(
                f'{ref.kind.kind} "{ref.name}" is invalid: {".".join(path)}: Invalid value: '
                "field is immutable",
                status=422,
            )


def _at(manifest: Manifest, path: tuple[str, ...]) -> Any:  # noqa: ANN401 - any JSON value
    value: Any = manifest
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value
