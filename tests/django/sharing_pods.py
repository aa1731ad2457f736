"""Alice's pod where pods may be shared, and bob, who comes to it: for tests of sharing."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from django_userpods import UserPod
from tests.django.asking_whoami import token_for
from tests.django.pods_hosts import ALICES


@pytest.fixture(autouse=True)
def sharing(settings: Any) -> None:
    settings.USERPODS_SHARING = True


@pytest.fixture
def pod(alice: Any) -> UserPod:
    return UserPod.objects.get(owner=alice)


@pytest.fixture
def class_5b(bob: Any) -> Group:
    group = Group.objects.create(name="5b")
    bob.groups.add(group)
    return group


def ask(user: Any, host: str = ALICES, **headers: str) -> Any:
    headers |= {"Authorization": f"Bearer {token_for(user)}", "X-Userpods-Host": host}
    return Client().get("/whoami", headers=headers)


def in_an_hour() -> datetime.datetime:
    return timezone.now() + datetime.timedelta(hours=1)
