"""What a user should have in the cluster, as YAML for people to read; secrets are masked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django_userpods.admin.people import user_of
from django_userpods.core.naming import PodIdentity
from django_userpods.models import UserPod

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django_userpods.core.objects import Manifest


def wanted(pod: UserPod) -> list[Manifest]:
    """Return a row's manifests; none where the user is to have none.

    Raises SettingError or TemplateError where the settings are invalid.
    """
    # Not at the start of every process that has the admin.
    from django_userpods.reconcile.wanted import TemplateSource, row_values, this_installation

    if pod.name is None or pod.wanted == UserPod.Wanted.ABSENT:
        return []
    user = user_of(pod)
    values = row_values(
        PodIdentity(pod.pk, pod.owner_pk),
        name=pod.name,
        namespace=pod.namespace,
        username=user.get_username() if user else "",
        slot=pod.slot,
        stopped=pod.wanted == UserPod.Wanted.STOPPED,
        restarted_at=pod.restarted_at,
    )
    return TemplateSource(this_installation(write=False)).template_for(user, values).fill(values)


def as_text(manifests: Sequence[Manifest]) -> str:
    """Return manifests as one YAML text, "" for none."""
    import yaml

    from django_userpods.core.masking import masked

    if not manifests:
        return ""
    return str(
        yaml.safe_dump_all(
            [masked(manifest) for manifest in manifests],
            sort_keys=False,
            allow_unicode=True,
            width=100,
            explicit_start=len(manifests) > 1,
        )
    )
