"""Users handed over to dramatiq: a real worker, with a broker of its own."""

from typing import Any

import pytest
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import ResultFailure, Results
from dramatiq.results.backends import RedisBackend

from tests.jobs.conftest import Shop
from tests.patience import PATIENCE

PROBE = """
import os

import dramatiq
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from amplify_mw import get_current_user
from shop.dramatiq_tasks import report

dramatiq.get_broker().add_middleware(Results(backend=RedisBackend(url=os.environ["REDIS_URL"])))
report.options["store_results"] = True


@dramatiq.actor(store_results=True)
def probe():
    try:
        return get_current_user().username
    except RuntimeError as error:
        return type(error).__name__
"""


def test_jobs_of_a_worker_act_as_their_users_and_leave_none_behind(shop: Shop) -> None:
    shop.write("probes.py", PROBE)
    broker = RedisBroker(url=shop.url)
    backend = RedisBackend(url=shop.url)
    broker.add_middleware(Results(backend=backend))

    def job(name: str, *arguments: Any) -> str:
        message: Any = Message(
            queue_name="default", actor_name=name, args=arguments, kwargs={}, options={}
        )
        broker.declare_queue("default")
        broker.enqueue(message)
        return str(message.get_result(backend=backend, block=True, timeout=int(PATIENCE * 1000)))

    def outcome(*arguments: str) -> str:
        with pytest.raises(ResultFailure) as caught:
            job("report", *arguments)
        return f"{caught.value.orig_exc_type}: {caught.value.orig_exc_msg}"

    with shop.worker("dramatiq", "probes", "-p", "1", "-t", "1"):
        ada, bob = map(shop.handed, ("ada", "bob"))
        assert job("probe") == "OutsideRequestError"
        assert job("report", ada, "May") == "May for ada"
        assert job("probe") == "OutsideRequestError"
        assert job("report", bob, "May") == "May for bob"
        assert "(invalid_handover)" in outcome("junk", "May")
        assert outcome(shop.expired(), "May").startswith("TokenExpiredException: ")
        assert job("probe") == "OutsideRequestError"
    broker.close()
