"""A prefix that was changed: pods keep their names, and a check tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.core import checks

from django_userpods.checks import PREFIX_ID
from django_userpods.reconcile import reconcile
from tests.django.support import bulk, pairs
from tests.factories import UserFactory

if TYPE_CHECKING:
    from django_userpods.testing import MemoryCluster

pytestmark = pytest.mark.django_db


def found(*databases: str) -> list[checks.CheckMessage]:
    return [item for item in checks.run_checks(databases=databases) if item.id == PREFIX_ID]


def test_pods_of_an_earlier_prefix_are_counted_and_named(
    memory: MemoryCluster, settings: Any
) -> None:
    bulk(2)
    reconcile()
    assert found("default") == []
    settings.USERPODS_NAME_PREFIX = "pod-"
    (warning,) = found("default")
    assert "2 pods" in warning.msg
    assert "user-bulk000" in warning.msg
    # Not where the database may not be asked.
    assert found() == []


def test_pods_of_an_earlier_prefix_go_on(memory: MemoryCluster, settings: Any) -> None:
    UserFactory(username="alice")
    reconcile()
    settings.USERPODS_NAME_PREFIX = "pod-"
    UserFactory(username="bob")
    assert reconcile().ok
    assert pairs(memory) == ["pod-bob", "user-alice"]
    assert reconcile().done == []
