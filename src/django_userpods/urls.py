"""URLs: ``path("", include("django_userpods.urls"))``."""

from __future__ import annotations

from django.urls import path

from django_userpods.pages import assets, enter, waiting, whoami

app_name = "userpods"

urlpatterns = [
    path("whoami", whoami.whoami, name="whoami"),
    path("userpods/waiting/", waiting.waiting, name="waiting"),
    path("userpods/status/", waiting.status, name="status"),
    path("userpods/wake/", waiting.wake, name="wake"),
    path("userpods/enter/", enter.enter, name="enter"),
    path("userpods/sign-out/", enter.site_sign_out, name="sign-out"),
    path("userpods/assets/<slug:name>", assets.asset, name="asset"),
    # What is ours of a pod's host, which the router hands over: core.addresses.RESERVED_PREFIX.
    path(".userpods/sign-in", enter.sign_in, name="pod-sign-in"),
    path(".userpods/enter", enter.take, name="pod-enter"),
    path(".userpods/sign-out", enter.sign_out, name="pod-sign-out"),
    path(".userpods/waiting/", waiting.waiting, name="pod-waiting"),
    path(".userpods/status/", waiting.status, name="pod-status"),
    path(".userpods/wake/", waiting.wake, name="pod-wake"),
    path(".userpods/assets/<slug:name>", assets.asset, name="pod-asset"),
]
