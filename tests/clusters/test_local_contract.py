"""The local cluster under the suite for all clusters, as far as it promises the same.

Left out is what only an API server does: defaults, ranges of addresses, shares of several editors
in one object.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from django_userpods.clusters.local import LocalCluster
from django_userpods.clusters.local.__main__ import main
from tests.clusters.test_contract import (  # noqa: F401 - collected here, with this file's fixtures
    test_a_deployment_becomes_ready,
    test_a_list_has_what_carries_all_labels,
    test_a_list_is_lazy_and_may_be_left,
    test_a_list_leaves_out_what_carries_another_label,
    test_a_name_that_is_taken_is_already_exists,
    test_create_answers_the_object_as_stored,
    test_delete_needs_the_uid_of_the_object,
    test_get_answers_the_object_or_none,
    test_one_of_many_creators_of_a_name_wins,
)
from tests.clusters.test_contract_apply import (  # noqa: F401 - as above
    test_a_selector_cannot_change,
    test_a_selector_that_does_not_match_is_invalid,
    test_apply_changes_containers_and_ports_by_their_keys,
    test_apply_creates_what_is_missing,
    test_apply_of_the_same_changes_nothing,
    test_apply_removes_what_an_apply_declared_and_the_next_does_not,
    test_names_that_are_none_are_invalid,
)
from tests.clusters.test_contract_watch import (  # noqa: F401 - as above
    test_a_watch_ends_when_its_time_is_over,
    test_a_watch_goes_on_from_the_version_of_any_event,
    test_a_watch_of_all_namespaces_tells_of_each,
    test_a_watch_tells_what_happens_to_objects_with_the_labels,
    test_a_watch_that_another_thread_closes_ends_at_once,
    test_an_event_has_the_kind_and_the_metadata_alone,
    test_an_object_that_loses_a_label_is_deleted_to_a_watch,
    test_no_write_passes_a_guard_that_says_no,
    test_replace_makes_nothing_new,
    test_replace_wants_the_version_that_was_read,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from django_userpods.clusters.base import Cluster

pytestmark = pytest.mark.processes


@pytest.fixture
def cluster_(tmp_path: Path) -> Iterator[Cluster]:
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "$(PORT)"]
    cluster = LocalCluster(state_dir=str(tmp_path), command=command)
    yield cluster
    cluster.close()
    assert main(["stop", str(tmp_path)]) == 0


@pytest.fixture
def namespace_() -> str:
    return "default"
