"""How many seconds KubeSpawner takes until as many users' pods run, with its own objects.

Run by ``controller.py`` in an environment that has KubeSpawner: no hub, no proxy, no database, the
spawners alone, as many at once as JupyterHub lets (``concurrent_spawn_limit``, 100).

    python kubespawner_rate.py NAMESPACE USERS IMAGE      # KUBECONFIG names the cluster
"""

from __future__ import annotations

import asyncio
import sys
import time
from unittest.mock import Mock

AT_ONCE = 100


def spawner_of(name: str, namespace: str, image: str) -> object:
    """Return the spawner of a user, as JupyterHub makes it."""
    from jupyterhub.objects import Hub, Server
    from kubespawner import KubeSpawner
    from traitlets.config import Config

    user = Mock()
    user.name = user.escaped_name = name
    user.id, user.settings = 1, {}
    user.url, user.server = f"/user/{name}/", Server()
    config = Config()
    config.KubeSpawner.namespace = namespace
    config.KubeSpawner.image = image
    config.KubeSpawner.cmd = ["app"]
    config.KubeSpawner.services_enabled = True
    config.KubeSpawner.start_timeout = 600
    return KubeSpawner(hub=Hub(), user=user, config=config, _mock=True)


async def main() -> None:
    """Print the seconds from the first call to the last pod that runs."""
    namespace, users, image = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    limit = asyncio.Semaphore(AT_ONCE)

    async def start(number: int) -> None:
        spawner = spawner_of(f"s{number}", namespace, image)
        async with limit:
            await spawner.start()  # type: ignore[attr-defined]

    # The first one makes the watches that all share.
    await start(users)
    began = time.monotonic()
    await asyncio.gather(*(start(number) for number in range(users)))
    print(f"SECONDS {time.monotonic() - began:.3f}")


if __name__ == "__main__":
    asyncio.run(main())
