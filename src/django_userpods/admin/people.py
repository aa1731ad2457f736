"""The users of rows, who may be gone: of whatever model, on whatever site."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.admin.utils import quote
from django.contrib.auth import get_user_model
from django.core.exceptions import ObjectDoesNotExist
from django.urls import reverse
from django.utils.html import format_html

from django_userpods.models import AccessToken, PodSession, Share, UserPod

if TYPE_CHECKING:
    from django.contrib import admin
    from django.contrib.auth.models import AbstractBaseUser
    from django.utils.safestring import SafeString


def user_of(row: UserPod | AccessToken | PodSession | Share) -> AbstractBaseUser | None:
    """Return a row's user; None also where SQL deleted the user behind Django's back."""
    try:
        return row.owner if isinstance(row, UserPod) else row.user
    except ObjectDoesNotExist:
        return None


def user_link(site: admin.AdminSite, user: AbstractBaseUser | None) -> str | SafeString:
    """Return the user's name, linked to the user's page where the site has one."""
    if user is None:
        return "–"  # noqa: RUF001 - a dash
    model = get_user_model()
    if not site.is_registered(model):
        return user.get_username()
    meta = model._meta  # noqa: SLF001 - Django's documented name
    url = reverse(
        f"admin:{meta.app_label}_{meta.model_name}_change",
        args=(quote(user.pk),),
        current_app=site.name,
    )
    return format_html('<a href="{}">{}</a>', url, user.get_username())
