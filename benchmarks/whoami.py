"""What ``whoami`` costs, against the smallest view that asks for the signed-in user's name.

    python benchmarks/whoami.py [--rounds 2000]

Both run through the whole of Django in this process, middleware included, in turn, with sessions
in signed cookies and SQLite in a file, so that the one query of each is what differs least.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import publish, set_up_django

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse
    from django.test import Client
    from django.urls import URLPattern, URLResolver


def main() -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    rounds = parser.parse_args().rounds
    urls = sys.modules["bench_urls"] = ModuleType("bench_urls")
    set_up_django(
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        ROOT_URLCONF="bench_urls",
        USERPODS_CACHE=None,
        USERPODS_CLUSTER={"BACKEND": "django_userpods.testing.MemoryCluster"},
    )
    urls.urlpatterns = urlpatterns()  # type: ignore[attr-defined]  # an empty module, filled here
    times = measure(rounds)
    medians = {kind: statistics.median(values) * 1e6 for kind, values in times.items()}
    base = medians.pop("baseline")
    rows = [
        (f"whoami by {kind}", f"{median / base:.2f} times ({median:.0f} us)", "—")
        for kind, median in medians.items()
    ]
    rows.insert(0, ("A view that asks for the user's name", f"1.00 ({base:.0f} us)", "—"))
    publish("whoami", "What whoami costs", rows, (__doc__ or "").split("\n\n", 2)[2])


def urlpatterns() -> list[URLPattern | URLResolver]:
    """Return the paths of the project: ours, and the smallest view that asks who is there."""
    from django.http import JsonResponse
    from django.urls import include, path

    def name(request: HttpRequest) -> HttpResponse:
        return JsonResponse({"user": request.user.get_username()})

    return [path("name", name), path("", include("django_userpods.urls"))]


def measure(rounds: int) -> dict[str, list[float]]:
    """Ask in every way in turn; return the seconds that each took, by its name."""
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.test import Client

    from django_userpods.models import AccessToken

    user = User.objects.create_user("alice")
    session = Client()
    session.force_login(user)
    _, text = AccessToken.objects.issue(user)
    bearer = Client(headers={"Authorization": f"Bearer {text}"})
    kinds = {
        "baseline": (session, "/name", None),
        "session": (session, "/whoami", None),
        "token": (bearer, "/whoami", None),
        "session, cached": (session, "/whoami", "default"),
        "token, cached": (bearer, "/whoami", "default"),
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        for kind, (client, url, cache) in kinds.items():
            settings.USERPODS_CACHE = cache
            took = ask(client, url)
            if number >= 20:  # the first ones warm up
                times[kind].append(took)
    return times


def ask(client: Client, url: str) -> float:
    """Return the seconds that an answer takes, which has to be a 200."""
    began = time.perf_counter()
    response = client.get(url)
    took = time.perf_counter() - began
    if response.status_code != 200:
        sys.exit(f"{url}: {response.status_code}")
    return took


if __name__ == "__main__":
    main()
