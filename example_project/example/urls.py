"""URLs of the example project.

Behind the router only these prefixes belong to the site: ``/accounts/``, ``/admin/``, ``/api/``,
``/static/`` and ``/userpods/``. Everything else is the user's own pod, so ``/`` here is what
people see who reach Django without a router.
"""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import include, path

from example import views

urlpatterns = [
    path("", views.home, name="home"),
    path("accounts/", views.home, name="account"),
    path(
        "accounts/login/",
        auth_views.LoginView.as_view(redirect_authenticated_user=True),
        name="login",
    ),
    path("accounts/logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("api/login", views.api_login, name="api-login"),
    path("api/logout", views.api_logout, name="api-logout"),
    path("healthz", views.healthz, name="healthz"),
    path("", include("django_userpods.urls")),
]
