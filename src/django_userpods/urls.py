"""URLs: ``path("", include("django_userpods.urls"))``."""

from __future__ import annotations

from django.urls import path

from django_userpods.pages import assets, enter, home, logs, own_access, own_shares, waiting, whoami
from django_userpods.pages.api import document, evidence, pods, shares, tokens

app_name = "userpods"

urlpatterns = [
    path("whoami", whoami.whoami, name="whoami"),
    path("userpods/", home.home, name="home"),
    path("userpods/pods/", home.add, name="add"),
    path("userpods/pods/<slug:name>/", home.operate, name="operate"),
    path("userpods/pods/<slug:name>/delete/", home.delete, name="delete"),
    path("userpods/pods/<slug:name>/logs/", logs.logs, name="logs"),
    path("userpods/pods/<slug:name>/shares/", own_shares.share_pod, name="share"),
    path("userpods/pods/<slug:name>/shares/<int:pk>/end/", own_shares.unshare_pod, name="unshare"),
    path("userpods/tokens/", own_access.make_token, name="make-token"),
    path("userpods/tokens/<int:pk>/revoke/", own_access.revoke_token, name="revoke-token"),
    path("userpods/sessions/<int:pk>/end/", own_access.end_session, name="end-session"),
    path(
        "userpods/sign-out-everywhere/",
        own_access.sign_out_everywhere,
        name="sign-out-everywhere",
    ),
    path("userpods/api/openapi.json", document.show, name="api-document"),
    path("userpods/api/me/", pods.me, name="api-me"),
    path("userpods/api/pods/", pods.whole, name="api-pods"),
    path("userpods/api/pods/<slug:name>/", pods.one, name="api-pod"),
    path("userpods/api/pods/<slug:name>/logs/", evidence.logs, name="api-logs"),
    path("userpods/api/pods/<slug:name>/shares/", shares.whole, name="api-shares"),
    path("userpods/api/pods/<slug:name>/shares/<int:pk>/", shares.one, name="api-share"),
    path("userpods/api/shared/", shares.shared, name="api-shared"),
    path("userpods/api/pods/<slug:name>/<slug:operation>/", pods.operation, name="api-operation"),
    path("userpods/api/tokens/", tokens.whole, name="api-tokens"),
    path("userpods/api/tokens/<int:pk>/", tokens.one, name="api-token"),
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
