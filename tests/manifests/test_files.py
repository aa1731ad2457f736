"""The shipped files themselves, and the two modules that read them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from django_userpods import kustomize, manifests
from django_userpods.core.objects import Kind


def yaml_files() -> list[Path]:
    return sorted(manifests.source().rglob("*.yaml"))


def test_shipped_values_stand_only_in_lines_that_are_marked() -> None:
    own = re.compile(
        r"userpods-users|userpods\.example\.org|(?:namespace|metadata\.name): userpods\b"
    )
    for path in yaml_files():
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if own.search(line) and not line.lstrip().startswith("#"):
                assert "# userpods:" in line, f"{path}:{number}: {line}"


def test_with_the_shipped_values_the_files_stay_as_they_are() -> None:
    for path, text in manifests.files(
        group for group in manifests.GROUPS if (manifests.source() / group).is_dir()
    ):
        if path.suffix != ".yaml":
            continue
        filled = manifests.fill(path, text, manifests.Values())
        assert list(yaml.safe_load_all(filled)) == list(yaml.safe_load_all(text)), path


def test_a_mark_that_does_not_fit_is_an_error() -> None:
    for line in ("a: b  # userpods:hosts", "a: b  # userpods:host"):
        with pytest.raises(manifests.ManifestError, match=r"x\.yaml: "):
            manifests.fill(Path("x.yaml"), line, manifests.Values())


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        (Kind("v1", "Service"), ("", "services", True)),
        (
            Kind("networking.k8s.io/v1", "NetworkPolicy"),
            ("networking.k8s.io", "networkpolicies", True),
        ),
        # A version that the table does not have.
        (
            Kind("autoscaling/v1", "HorizontalPodAutoscaler"),
            ("autoscaling", "horizontalpodautoscalers", True),
        ),
        (Kind("x.org/v1", "Policy"), ("x.org", "policies", False)),
        (Kind("x.org/v1", "Glass"), ("x.org", "glasses", False)),
        (Kind("x.org/v1", "Widget"), ("x.org", "widgets", False)),
    ],
)
def test_resources_of_kinds(kind: Kind, resource: tuple[str, str, bool]) -> None:
    assert manifests.resource_of(kind) == resource


def test_kustomizations_that_need_more_are_refused(tmp_path: Path) -> None:
    for text in ("patches: []", "configMapGenerator: [{name: x, envs: [y]}]"):
        (tmp_path / "kustomization.yaml").write_text(text)
        with pytest.raises(manifests.ManifestError, match="kubectl kustomize"):
            kustomize.build([tmp_path])
    with pytest.raises(manifests.ManifestError, match="No such file"):
        kustomize.build([tmp_path / "nowhere"])
