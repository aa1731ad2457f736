"""A real Kubernetes for the tests, on a bare machine: no containers, no registry.

In this package:

- ``build``: makes the binaries, from the Go modules beside it, once per machine;
- ``controlplane``: etcd, API server, controllers, scheduler, and nodes that only pretend (kwok);
- ``node``, ``network``, ``cgroups``, ``apt``: one real node, as root; pods run there;
- ``images``: container images for it, from files, Debian packages and Python distributions;
- ``external``: your own cluster instead, where ``USERPODS_TEST_CONTEXT`` names its context;
- ``fixtures``: the pytest plugin, ``pytest_plugins = ["tests.testcluster.fixtures"]``;
- ``__main__``: ``python -m tests.testcluster``, a cluster for a person.
"""
