"""``manage.py prepare_demo``: database, static files, alice, bob and an administrator."""

from __future__ import annotations

import json
import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import BaseCommand, CommandError, call_command

from django_userpods.cluster import get_cluster
from django_userpods.clusters.local import LocalCluster

PEOPLE = ("alice", "bob", "admin")


class Command(BaseCommand):
    """Prepares a demo and prints the passwords, new ones each time, as JSON on the last line."""

    help = "Prepare the demo: migrate, collect static files, make alice, bob and admin."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ANN401, ARG002 - the base's signature
        """Do everything in one process, for the sake of a quick start."""
        if not isinstance(get_cluster(), LocalCluster):
            msg = "the demo gives people passwords: it is for the local cluster alone"
            raise CommandError(msg)
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        users = get_user_model().objects
        may_share = Permission.objects.get(codename="share_userpod")
        passwords = {}
        for name in PEOPLE:
            passwords[name] = secrets.token_urlsafe(9)
            staff = name == "admin"
            user, _ = users.get_or_create(
                username=name, defaults={"is_staff": staff, "is_superuser": staff}
            )
            user.set_password(passwords[name])
            user.save()
            user.user_permissions.add(may_share)
        # Whatever the signals could not do at once, and what an earlier run left undone.
        call_command("sync_userpods", stdout=self.stderr)
        self.stdout.write(json.dumps(passwords))
