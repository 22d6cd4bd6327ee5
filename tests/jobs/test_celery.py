"""Users handed over to Celery: a real worker, with a broker of its own."""

import sys
from typing import Any

import celery
import pytest
from celery import Celery

from amplify_mw import get_current_user
from tests.jobs.conftest import Shop
from tests.patience import PATIENCE

PROBE = """
from amplify_mw import get_current_user
from shop.celery_tasks import app, report

app.conf.worker_hijack_root_logger = False


@app.task(name="probe")
def probe():
    try:
        return get_current_user().username
    except RuntimeError as error:
        return type(error).__name__
"""
REPORT = "shop.celery_tasks.report"


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_jobs_of_a_worker_act_as_their_users_and_leave_none_behind(shop: Shop, pool: str) -> None:
    shop.write("probes.py", PROBE)
    app = Celery("web", broker=shop.url, backend=shop.url)

    def job(name: str, *arguments: Any) -> str:
        result = app.send_task(name, arguments).get(timeout=PATIENCE)
        return str(result)

    def outcome(*arguments: str) -> str:
        with pytest.raises(Exception) as caught:  # noqa: PT011  # Celery's JSON keeps its text
            job(REPORT, *arguments)
        return str(caught.value)

    command = ("celery", "-A", "probes", "worker", "-P", pool, "-c", "1", "-l", "warning")
    with shop.worker(*command, "--without-gossip", "--without-mingle"):
        ada, bob, grace = map(shop.handed, ("ada", "bob", "grace"))
        assert job("probe") == "OutsideRequestError"
        assert job(REPORT, ada, "May") == "May for ada"
        assert job("probe") == "OutsideRequestError"
        assert job(REPORT, bob, "May") == "May for bob"
        assert "ForbiddenException" in outcome(grace, "May")
        assert job("probe") == "OutsideRequestError"
        assert "This hand-over does not count" in outcome("junk", "May")
        assert "The hand-over has expired" in outcome(shop.expired(), "May")
        assert job("probe") == "OutsideRequestError"
    assert ada not in shop.log()
    app.close()


def test_a_task_run_at_once_gives_the_request_its_user_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.folder)
    for name in ("HANDOVER_KEY", "REDIS_URL"):
        monkeypatch.setenv(name, shop.environ[name])
    monkeypatch.syspath_prepend(str(shop.folder))
    for name in ("shop", "shop.auth", "shop.celery_tasks"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    from shop import celery_tasks  # type: ignore[import-not-found]

    celery_tasks.app.conf.update(task_always_eager=True, task_eager_propagates=True)
    ada = shop.handed("ada")

    def view() -> str:
        result = celery_tasks.report.delay(ada, "May").get()
        return f"{result}, asked by {get_current_user().username}"

    assert shop.request("grace", view) == "May for ada, asked by grace"
    assert celery.VERSION >= (5, 5)
    for name in ("shop", "shop.auth", "shop.celery_tasks"):
        sys.modules.pop(name, None)
