"""Which worker of pytest-xdist runs what, and when.

A file's tests stay together, and so do the folders' whose tests share something slow to start. What
takes long is given out first: at the end the workers have small files left to share, and none
waits minutes for another's last folder.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any, Final

from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

# What is started once for all of a folder's tests: servers, a browser, Node.
TOGETHER: Final = ("amplify_js", "browser", "frameworks", "processes")

# What takes a worker half a minute or more, the longest first. All else comes in xdist's order, by
# the number of tests.
FIRST: Final = (
    "processes",
    "browser",
    "tests/stores/test_cluster_faults.py",
    "tests/test_benchmarks.py",
    "tests/suites/test_suites.py",
    "tests/stores/test_redis_cluster.py",
    "frameworks",
    "tests/stores/test_cluster_failover.py",
    "tests/stores/test_redis_failover.py",
    "tests/testing/test_command.py",
    "tests/demo/test_browser.py",
    "tests/test_cli.py",
    "tests/test_refresh_ahead.py",
    "tests/stores/test_redis.py",
    "tests/stores/test_postgres.py",
    "amplify_js",
    "tests/django_sites/test_sites.py",
    "tests/stores/test_servers.py",
    "tests/docs/test_testing.py",
    "tests/jobs/test_celery.py",
)


def workers() -> int:
    """How many workers are as many as there is work for: a test often waits, and its core with it.

    That is for servers to start, for the nodes of a cluster to elect another, for a page to load.
    """
    has_affinity = hasattr(os, "sched_getaffinity")
    return (len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1) + 2


class Indexed(list[str]):
    """The names of a worker's tests, each of which is found at once."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__(names)
        self._places = {name: place for place, name in enumerate(self)}

    def index(self, name: str, *_: Any) -> int:  # type: ignore[override]
        return self._places[name]


class Scheduling(LoadFileScheduling):
    """`--dist loadfile`, for some thirty thousand tests.

    The original looks at all tests that a worker has had whenever one ends, and through all names
    for the place of each.
    """

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        folder = file.removeprefix("tests/").partition("/")[0]
        return folder if folder in TOGETHER else file

    def _assign_work_unit(self, node: WorkerController) -> None:
        slow = next((scope for scope in FIRST if scope in self.workqueue), None)
        if slow is not None:
            self.workqueue.move_to_end(slow, last=False)
        super()._assign_work_unit(node)

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        super().add_node_collection(node, Indexed(collection))
        if node in self.registered_collections:
            self.registered_collections[node] = Indexed(collection)

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        super().mark_test_complete(node, item_index, duration)
        scope = self._split_scope(self.registered_collections[node][item_index])
        if all(self.assigned_work[node][scope].values()):
            del self.assigned_work[node][scope]
