"""``python -m tests.testcluster``: a Kubernetes for you to try things on, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import threading

from tests.testcluster import apt
from tests.testcluster.build import BuildError
from tests.testcluster.controlplane import ControlPlane
from tests.testcluster.node import WORKLOAD, NodeCluster, NodeUnavailableError
from tests.testcluster.processes import StartError

_DESCRIPTION = """\
Start a real Kubernetes on this machine: no containers, no registry, no root.

API server, controllers and scheduler are the real ones, on ports of their own. Pods become Ready
at once but do not run; with --node (root, and the packages of --apt) they do, on a real node with
Services, DNS and NetworkPolicies, reachable from this machine. Everything is gone after Ctrl-C,
and nothing else on the machine is touched; two can stand side by side. The first start builds the
programs with Go, which takes about ten minutes on two cores; later ones take seconds.
"""

_EPILOG = """\
In another terminal, paste the two `export` lines that it prints, then:

  kubectl get nodes
  kubectl create deployment hello --image=anything
  kubectl get pods            # Running: kwok says so

On a real node (--node):

  kubectl create deployment hello --image=localhost/workload:1
  kubectl expose deployment hello --port=80 --target-port=8000
  curl "$(kubectl get service hello -o jsonpath='{.spec.clusterIP}')"

Without one, to see the states that a person should be told about, annotate the pods of a Deployment
(spec.template.metadata.annotations) with one of

  testcluster/pod: hang | unready | crash | image-pull
  testcluster/delay: 3s       # Ready, or any of the above, so much later
"""


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.apt:
        print("\n".join(apt.packages("node")))
        return 0
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _interrupt(stop))
    try:
        with NodeCluster() if arguments.node else ControlPlane(nodes=arguments.nodes) as cluster:
            print(f"export KUBECONFIG={cluster.kubeconfig}")
            print(f'export PATH="{cluster.bin_dir}:$PATH"')
            if arguments.node:
                print(f"# The node has one image to try things with: {WORKLOAD}")
            print(
                f"# Kubernetes answers on {cluster.server}; its logs are in"
                f" {cluster.directory / 'logs'}. Ctrl-C ends it.",
                flush=True,
            )
            stop.wait()
    except (BuildError, NodeUnavailableError, StartError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _interrupt(stop: threading.Event) -> None:
    # While it still starts there is nothing to wait for, and cleaning up is the context manager's.
    if not stop.is_set():
        stop.set()
        raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.testcluster",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--nodes", type=int, default=1, metavar="N", help="pretended nodes (default: 1)"
    )
    parser.add_argument("--node", action="store_true", help="a real node instead; needs root")
    parser.add_argument(
        "--apt", action="store_true", help="only print the Debian packages that --node needs"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
