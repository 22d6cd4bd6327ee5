"""Users handed over to RQ: a real worker, with a broker of its own."""

from typing import Any

import pytest
import redis
from rq import Queue
from rq.job import JobStatus

from tests.jobs.conftest import Shop
from tests.patience import PATIENCE

PROBE = """
from amplify_mw import get_current_user


def probe():
    try:
        return get_current_user().username
    except RuntimeError as error:
        return type(error).__name__
"""
REPORT = "shop.rq_tasks.report"


@pytest.mark.parametrize("worker", ["rq.worker.SimpleWorker", "rq.worker.Worker"])
def test_jobs_of_a_worker_act_as_their_users_and_leave_none_behind(shop: Shop, worker: str) -> None:
    shop.write("probes.py", PROBE)
    connection: Any = redis.Redis.from_url(shop.url)
    queue = Queue(connection=connection)
    texts = {name: shop.handed(name) for name in ("ada", "bob")}
    wanted = [
        ("probes.probe", [], "OutsideRequestError"),
        (REPORT, [texts["ada"], "May"], "May for ada"),
        ("probes.probe", [], "OutsideRequestError"),
        (REPORT, [texts["bob"], "May"], "May for bob"),
        (REPORT, ["junk", "May"], "invalid_handover"),
        (REPORT, [shop.expired(), "May"], "handover_expired"),
        ("probes.probe", [], "OutsideRequestError"),
    ]
    jobs = [queue.enqueue_call(name, arguments) for name, arguments, _ in wanted]
    command = ("rq.cli", "worker", "--burst", "--url", shop.url, "--worker-class", worker)
    with shop.worker(*command) as process:
        assert process.wait(PATIENCE) == 0, shop.log()
    for job, (_, _, said) in zip(jobs, wanted, strict=True):
        result: Any = job.latest_result()
        if job.get_status() == JobStatus.FINISHED:
            assert result.return_value == said
        else:
            assert f"({said})" in result.exc_string
    connection.close()
