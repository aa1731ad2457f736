"""Pages in a project's own looks: it overrides blocks of ours, and all around them stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings as project
from django.utils import timezone

from django_userpods.models import UserPod

if TYPE_CHECKING:
    from django.test import Client

pytestmark = pytest.mark.django_db(transaction=True)

WAITING = "/userpods/waiting/"
BROWSER = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate"}
OURS = "<p>A project's own.</p>"
#: What is in each block of the waiting page of a pod that failed.
BLOCKS = {
    "steps": 'id="userpods-steps"',
    "choices": ">Try again</button>",
    "happenings": 'id="userpods-happenings"',
    "details": "<dt>Last change</dt>",
}
#: What the page's script reads.
READ = ('<main class="failed"', 'data-state="failed"', "data-status=", 'id="userpods-message"')


def override(settings: Any, name: str, template: str) -> None:
    """Have a project's template before ours of the same name."""
    engine: Any = project.TEMPLATES[0]
    first = ("django.template.loaders.locmem.Loader", {name: template})
    loaders = [first, "django.template.loaders.app_directories.Loader"]
    options = {**engine["OPTIONS"], "loaders": loaders}
    settings.TEMPLATES = [{**engine, "APP_DIRS": False, "OPTIONS": options}]


def page(client: Client) -> str:
    UserPod.objects.update(state="failed", message="CrashLoopBackOff: no", looked_at=timezone.now())
    return client.get(WAITING, headers=BROWSER).text


def test_all_blocks_are_there_before_one_is_overridden(signed_in: Client) -> None:
    text = page(signed_in)
    assert all(text.count(part) == 1 for part in (*BLOCKS.values(), *READ))
    assert OURS not in text


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_the_waiting_page_is_overridden_alone(
    signed_in: Client, settings: Any, block: str
) -> None:
    template = f'{{% extends "userpods/waiting.html" %}}{{% block {block} %}}{OURS}{{% endblock %}}'
    override(settings, "userpods/waiting.html", template)

    text = page(signed_in)

    assert text.count(OURS) == 1
    assert [name for name, part in BLOCKS.items() if part not in text] == [block]
    assert all(text.count(part) == 1 for part in READ)


def test_the_choices_are_overridden_where_there_is_no_room_for_the_pod_too(
    signed_in: Client, settings: Any
) -> None:
    def page_without_room() -> str:
        message = "Unschedulable: 0/3 nodes are available"
        UserPod.objects.update(state="starting", message=message, looked_at=timezone.now())
        return signed_in.get(WAITING, headers=BROWSER).text

    before = page_without_room()
    template = f'{{% extends "userpods/waiting.html" %}}{{% block choices %}}{OURS}{{% endblock %}}'
    override(settings, "userpods/waiting.html", template)
    after = page_without_room()

    assert 'data-standing="failed"' in before
    assert 'http-equiv="refresh" content="15"' in before
    assert ">My workspaces</a>" in before
    assert ">Try again</button>" not in before
    assert (OURS in before, OURS in after) == (False, True)
    assert ">My workspaces</a>" not in after
