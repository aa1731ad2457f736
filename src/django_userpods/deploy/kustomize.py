"""The part of kustomize that our own bases use, for those who want one stream of YAML.

Resources come out as they were written, comments included; generated ConfigMaps and Secrets keep
their plain names (kustomize adds a hash, so that pods are replaced when the content changes). What
a kustomization asks for and is not known here is an error, never left out.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import yaml

from django_userpods.core import kinds
from django_userpods.core.objects import Kind
from django_userpods.exceptions import ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_KNOWN = {
    "apiVersion",
    "kind",
    "resources",
    "namespace",
    "labels",
    "configMapGenerator",
    "secretGenerator",
    "generatorOptions",
}


def build(folders: list[Path]) -> str:
    """Return everything that these bases make as one stream, each object once.

    Raises ManifestError for a base that is not there or needs more than is known here.
    """
    documents: dict[tuple[Kind, str, str], str] = {}
    for folder in folders:
        for key, text in _base(folder):
            documents.setdefault(key, text)
    ordered = sorted(documents.items(), key=lambda item: kinds.place(item[0][0]))
    return "---\n".join(text if text.endswith("\n") else text + "\n" for _, text in ordered)


def _base(folder: Path) -> Iterator[tuple[tuple[Kind, str, str], str]]:
    path = folder / "kustomization.yaml"
    try:
        wanted = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise ManifestError(message) from error
    if unknown := sorted(set(wanted) - _KNOWN):
        message = f"{path}: {', '.join(unknown)}: use `kubectl kustomize` for that"
        raise ManifestError(message)
    for resource in wanted.get("resources", []):
        target = folder / resource
        texts = (
            (text for _, text in _base(target))
            if target.is_dir()
            else _documents(target.read_text(encoding="utf-8"))
        )
        for text in texts:
            yield _transformed(text, wanted)
    for kind, field in (("ConfigMap", "configMapGenerator"), ("Secret", "secretGenerator")):
        for generator in wanted.get(field, []):
            manifest = _generated(kind, generator, folder)
            yield _transformed(_dump(manifest), wanted)


def _documents(text: str) -> Iterator[str]:
    for part in f"\n{text}".split("\n---\n"):
        if yaml.safe_load(part) is not None:
            yield part.lstrip("\n")


def _transformed(text: str, wanted: Mapping[str, Any]) -> tuple[tuple[Kind, str, str], str]:
    """Return (identity, text), changed only where the kustomization asks for it."""
    manifest = yaml.safe_load(text)
    namespace = wanted.get("namespace")
    changed = False
    kind = Kind.of(manifest)
    if namespace and not kinds.is_cluster_scoped(kind):
        changed = manifest["metadata"].get("namespace") != namespace
        manifest["metadata"]["namespace"] = namespace
    for entry in wanted.get("labels", []):
        if set(entry) != {"pairs"}:
            message = "labels: only pairs are known: use `kubectl kustomize` for more"
            raise ManifestError(message)
        manifest["metadata"].setdefault("labels", {}).update(entry["pairs"])
        changed = True
    metadata = manifest["metadata"]
    key = (kind, metadata.get("namespace", ""), metadata["name"])
    return key, _dump(manifest) if changed else text


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as people write them."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)


def _dump(manifest: Mapping[str, Any]) -> str:
    text: str = yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=1000)
    return text


def _generated(kind: str, generator: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    if unknown := sorted(set(generator) - {"name", "namespace", "literals", "files", "options"}):
        message = f"{folder}: {', '.join(unknown)} of a generator: use `kubectl kustomize`"
        raise ManifestError(message)
    data: dict[str, str] = {}
    for literal in generator.get("literals", []):
        key, _, value = literal.partition("=")
        data[key] = value
    for entry in generator.get("files", []):
        key, found, path = entry.rpartition("=")
        text = (folder / path).read_text(encoding="utf-8")
        data[key if found else (folder / path).name] = text
    if kind == "Secret":
        data = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    metadata = {"name": generator["name"]}
    if "namespace" in generator:
        metadata["namespace"] = generator["namespace"]
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": metadata,
        **({"type": "Opaque"} if kind == "Secret" else {}),
        "data": data,
    }
