"""What a user should have in the cluster, as YAML for people to read; secrets are masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.utils.translation import gettext

from django_userpods.admin.people import user_of
from django_userpods.conf import conf
from django_userpods.core.naming import PodIdentity
from django_userpods.exceptions import PodNotAllowed
from django_userpods.models import UserPod, main_pod_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from django_userpods.core.objects import Manifest
    from django_userpods.core.profile import Profile


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
    source = TemplateSource(this_installation(write=False))
    return source.template_for(user, values, pod.profile).fill(values)


def preview(profile: Profile, username: str) -> str:
    """Return the manifests that a user's main pod would have by a profile, as one YAML text.

    Raises PodNotAllowed where there is no such user, SettingError or TemplateError.
    """
    from django_userpods.core import naming
    from django_userpods.reconcile.wanted import TemplateSource, row_values, this_installation

    model: Any = get_user_model()
    user = model._default_manager.filter(**{model.USERNAME_FIELD: username}).first()  # noqa: SLF001 - documented name
    if user is None:
        raise PodNotAllowed(gettext("There is no user with this name."))
    source = TemplateSource(this_installation(write=False))
    source.profiles = {profile.slug: profile}
    pod = main_pod_of(user) or UserPod(pk="0" * 16, owner=user, owner_pk=str(user.pk))
    room = source.shared_by(profile.slug, user).room
    prefix = conf.USERPODS_NAME_PREFIX
    values = row_values(
        PodIdentity(pod.pk, pod.owner_pk),
        name=pod.name or naming.name_for(username, prefix=prefix, room=room),
        namespace=pod.namespace or conf.namespace_of(user),
        username=username,
        slot="",
        stopped=False,
        restarted_at=None,
    )
    return as_text(source.template_for(user, values, profile.slug).fill(values))


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
