"""What the documentation says of settings and options is what the code does."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib import admin

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


def test_another_admin_site_gets_all_that_the_first_one_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    section = (Path(__file__).parents[2] / "docs" / "adopting.md").read_text()
    section = section.split("## No admin, or another AdminSite")[1].split("\n## ")[0]
    (snippet,) = re.findall(r"^```python\n# admin\.py\n(.*?)^```$", section, re.M | re.S)
    staff = ModuleType("mysite.staff")
    staff_site = staff.staff_site = admin.AdminSite(name="staff")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mysite", ModuleType("mysite"))
    monkeypatch.setitem(sys.modules, "mysite.staff", staff)
    exec(snippet, {})  # noqa: S102 - our own documentation

    def registered(site: admin.AdminSite) -> dict[type, type]:
        models = apps.get_app_config("userpods").get_models()
        return {
            model: type(site.get_model_admin(model))
            for model in models
            if site.is_registered(model)
        }

    assert registered(staff_site) == registered(admin.site)
    assert len(registered(staff_site)) >= 5


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
