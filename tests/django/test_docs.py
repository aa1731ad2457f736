"""What the documentation says of settings and options is what the code does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from django_userpods import checks
from django_userpods.clusters.kubernetes import KubernetesCluster
from django_userpods.conf import conf

TEXT = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
ROWS = dict(re.findall(r"^\| `(USERPODS_\w+)` \| (.+?) \|", TEXT, re.MULTILINE))


def test_every_setting_is_described() -> None:
    assert set(ROWS) == set(checks.SETTING_IDS)


@pytest.mark.parametrize("name", [name for name, default in ROWS.items() if default[0] == "`"])
def test_a_default_is_as_described(name: str, settings: object) -> None:
    if name == "USERPODS_LOGIN_URL":
        described = django_settings.LOGIN_URL
    else:
        described = eval(ROWS[name].strip("`"))  # noqa: S307 - our own documentation
    if hasattr(settings, name):
        delattr(settings, name)
    value = getattr(conf, name)
    assert (sorted(value) if isinstance(value, frozenset) else value) == described


def test_every_option_of_the_kubernetes_cluster_is_described() -> None:
    section = TEXT.split("## Options of the Kubernetes cluster")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.+?) \|", section, re.M))))
    assert named == set(inspect.signature(KubernetesCluster).parameters)


def test_every_room_is_in_the_guide_to_development() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "development.md").read_text()
    table = guide.split("## Rooms")[1].split("### To add")[0]
    named = set(re.findall(r"`(\w+)/?`", table))
    source = Path(inspect.getfile(checks)).parent
    rooms = {path.stem for path in source.iterdir() if path.suffix == ".py" or path.is_dir()}
    resources = {"__init__", "__pycache__", "locale", "migrations", "static", "templates"}
    assert rooms - resources <= named
    for room in ("access", "clusters", "deploy", "reconcile"):
        inside = {path.stem for path in (source / room).iterdir()} - resources - {"options"}
        assert inside <= named, f"{room}/ has modules that the guide does not name"
