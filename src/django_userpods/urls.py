"""URLs: ``path("", include("django_userpods.urls"))``."""

from __future__ import annotations

from django.urls import path

from django_userpods.pages.later import view

app_name = "userpods"

urlpatterns = [
    path("whoami", view("whoami.whoami"), name="whoami"),
    path("userpods/", view("home.home"), name="home"),
    path("userpods/pods/", view("home.add"), name="add"),
    path("userpods/pods/<slug:name>/", view("home.operate"), name="operate"),
    path("userpods/pods/<slug:name>/delete/", view("home.delete"), name="delete"),
    path("userpods/pods/<slug:name>/logs/", view("logs.logs"), name="logs"),
    path(
        "userpods/pods/<slug:name>/profile/",
        view("own_profiles.choose"),
        name="choose-profile",
    ),
    path("userpods/pods/<slug:name>/shares/", view("own_shares.share_pod"), name="share"),
    path(
        "userpods/pods/<slug:name>/shares/<int:pk>/end/",
        view("own_shares.unshare_pod"),
        name="unshare",
    ),
    path("userpods/tokens/", view("own_access.make_token"), name="make-token"),
    path("userpods/tokens/<int:pk>/revoke/", view("own_access.revoke_token"), name="revoke-token"),
    path("userpods/sessions/<int:pk>/end/", view("own_access.end_session"), name="end-session"),
    path(
        "userpods/sign-out-everywhere/",
        view("own_access.sign_out_everywhere"),
        name="sign-out-everywhere",
    ),
    path("userpods/api/openapi.json", view("api.document.show"), name="api-document"),
    path("userpods/api/me/", view("api.pods.me"), name="api-me"),
    path("userpods/api/pods/", view("api.pods.whole"), name="api-pods"),
    path("userpods/api/pods/<slug:name>/", view("api.pods.one"), name="api-pod"),
    path("userpods/api/pods/<slug:name>/logs/", view("api.evidence.logs"), name="api-logs"),
    path("userpods/api/pods/<slug:name>/shares/", view("api.shares.whole"), name="api-shares"),
    path(
        "userpods/api/pods/<slug:name>/shares/<int:pk>/", view("api.shares.one"), name="api-share"
    ),
    path("userpods/api/shared/", view("api.shares.shared"), name="api-shared"),
    path("userpods/api/profiles/", view("api.profiles.offered"), name="api-profiles"),
    path("userpods/api/pods/<slug:name>/profile/", view("api.profiles.choose"), name="api-profile"),
    path(
        "userpods/api/pods/<slug:name>/<slug:operation>/",
        view("api.pods.operation"),
        name="api-operation",
    ),
    path("userpods/api/tokens/", view("api.tokens.whole"), name="api-tokens"),
    path("userpods/api/tokens/<int:pk>/", view("api.tokens.one"), name="api-token"),
    path("userpods/waiting/", view("waiting.waiting"), name="waiting"),
    path("userpods/status/", view("waiting.status"), name="status"),
    path("userpods/events/", view("events.events"), name="events"),
    path("userpods/stream/", view("stream.stream"), name="stream"),
    path("userpods/wake/", view("waiting.wake"), name="wake"),
    path("userpods/enter/", view("enter.enter"), name="enter"),
    path("userpods/sign-out/", view("enter.site_sign_out"), name="sign-out"),
    path("userpods/assets/<slug:name>", view("assets.asset"), name="asset"),
    # What is ours of a pod's host, which the router hands over: core.addresses.RESERVED_PREFIX.
    path(".userpods/sign-in", view("enter.sign_in"), name="pod-sign-in"),
    path(".userpods/enter", view("enter.take"), name="pod-enter"),
    path(".userpods/sign-out", view("enter.sign_out"), name="pod-sign-out"),
    path(".userpods/waiting/", view("waiting.waiting"), name="pod-waiting"),
    path(".userpods/status/", view("waiting.status"), name="pod-status"),
    path(".userpods/events/", view("events.events"), name="pod-events"),
    path(".userpods/stream/", view("stream.stream"), name="pod-stream"),
    path(".userpods/wake/", view("waiting.wake"), name="pod-wake"),
    path(".userpods/assets/<slug:name>", view("assets.asset"), name="pod-asset"),
]
