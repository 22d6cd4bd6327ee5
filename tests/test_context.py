"""The verbs where they are called: outside requests, on event loops, on threads; `carry`."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Annotated, Any

import pytest
from asgiref.sync import iscoroutinefunction
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

import amplify_mw
from amplify_mw import (
    AuthError,
    AuthUser,
    BlockingCallError,
    OutsideRequestError,
    aio,
    carry,
    fetch_auth_session,
    fetch_user_attributes,
    get_current_user,
    user_or_none,
)
from amplify_mw.testing import signed_in, signed_out

VERBS: list[Callable[[], Any]] = [
    get_current_user,
    user_or_none,
    fetch_user_attributes,
    fetch_auth_session,
]
AWAITED: list[Callable[[], Any]] = [
    aio.get_current_user,
    aio.user_or_none,
    aio.fetch_user_attributes,
    aio.fetch_auth_session,
]


def username() -> str:
    return get_current_user().username


@pytest.mark.parametrize("verb", VERBS)
def test_outside_a_request_a_verb_is_no_signed_out_user(verb: Callable[[], Any]) -> None:
    with pytest.raises(OutsideRequestError, match="AmplifyWSGIMiddleware") as caught:
        verb()
    assert not isinstance(caught.value, AuthError)


@pytest.mark.parametrize("verb", AWAITED)
def test_an_awaited_verb_raises_at_the_call(verb: Callable[[], Any]) -> None:
    with pytest.raises(OutsideRequestError):
        verb()


@pytest.mark.parametrize("verb", [fetch_user_attributes, fetch_auth_session])
def test_a_verb_that_may_wait_refuses_to_stop_an_event_loop(verb: Callable[[], Any]) -> None:
    async def call() -> None:
        verb()

    with (
        signed_in("ada"),
        pytest.raises(BlockingCallError, match=f"from amplify_mw.aio import {verb.__name__}"),
    ):
        asyncio.run(call())


def test_the_user_is_told_at_once_on_an_event_loop_too() -> None:
    async def call() -> str:
        return get_current_user().username

    with signed_in("ada"):
        assert asyncio.run(call()) == "ada"


@pytest.mark.parametrize("verb", [*AWAITED, aio.handle_server_auth])
def test_an_awaited_verb_is_known_to_be_one(verb: Callable[[], Any]) -> None:
    assert iscoroutinefunction(verb)


def test_fastapi_awaits_an_awaited_verb_as_a_dependency() -> None:
    app = FastAPI()

    @app.get("/")
    async def page(user: Annotated[AuthUser, Depends(aio.get_current_user)]) -> str:
        return user.username

    with signed_in("ada"):
        assert TestClient(app).get("/").json() == "ada"


@pytest.mark.parametrize("verb", [user_or_none, aio.user_or_none])
def test_fastapi_gives_the_user_or_none_as_a_dependency(verb: Callable[[], Any]) -> None:
    app = FastAPI()

    @app.get("/")
    async def page(user: Annotated[AuthUser | None, Depends(verb)]) -> str:
        return user.username if user else "nobody"

    with signed_in("ada"):
        assert TestClient(app).get("/").json() == "ada"
    with signed_out():
        assert TestClient(app).get("/").json() == "nobody"


def test_a_forgotten_await_is_noticed() -> None:
    with signed_in("ada"), pytest.warns(RuntimeWarning, match="never awaited"):
        aio.get_current_user()


def test_tasks_and_threads_of_a_task_keep_the_user() -> None:
    async def call() -> list[str]:
        task = asyncio.create_task(aio.get_current_user())
        thread = asyncio.to_thread(get_current_user)
        return [user.username for user in await asyncio.gather(task, thread)]

    with signed_in("ada"):
        assert asyncio.run(call()) == ["ada", "ada"]


def test_an_executor_has_no_user_by_itself() -> None:
    with signed_in("ada"), ThreadPoolExecutor(1) as executor:
        assert isinstance(executor.submit(get_current_user).exception(), OutsideRequestError)


def test_a_worker_sees_nobody_by_itself_whoever_started_it_and_whoever_asks() -> None:
    with ThreadPoolExecutor(1) as executor:
        for name in ("ada", "bob"):
            with signed_in(name):
                assert executor.submit(carry(username)).result() == name
                with pytest.raises(OutsideRequestError):
                    executor.submit(username).result()
        with pytest.raises(OutsideRequestError):
            executor.submit(username).result()


def test_a_thread_that_a_thread_starts_sees_nobody_by_itself() -> None:
    def start_another() -> str:
        with ThreadPoolExecutor(1) as executor:
            try:
                return executor.submit(username).result()
            except OutsideRequestError:
                return executor.submit(carry(username)).result()

    with signed_in("ada"), ThreadPoolExecutor(1) as executor:
        with pytest.raises(OutsideRequestError):
            executor.submit(username).result()
        assert executor.submit(carry(start_another)).result() == "ada"


def test_a_thread_may_be_a_signed_in_user_itself() -> None:
    def sign_in() -> str:
        with signed_in("ada"):
            return username()

    with signed_in("bob"), ThreadPoolExecutor(1) as executor:
        assert executor.submit(sign_in).result() == "ada"
        with pytest.raises(OutsideRequestError):
            executor.submit(username).result()


def test_what_a_thread_sees_is_the_same_where_threads_inherit_contexts() -> None:
    """Python 3.14 can be told to."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    plugin = ["-p", "tests.inheriting", __file__, "-k", "not inherit_contexts"]
    done = subprocess.run(
        [*command, *plugin],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_carry_takes_the_user_along_and_leaves_the_worker_without() -> None:
    with ThreadPoolExecutor(1) as executor:
        with signed_in("ada"):
            assert executor.submit(carry(get_current_user)).result().username == "ada"
        assert isinstance(executor.submit(get_current_user).exception(), OutsideRequestError)


def test_carry_takes_the_user_back_when_the_function_raises() -> None:
    def fail() -> None:
        raise LookupError

    with ThreadPoolExecutor(1) as executor:
        with signed_in("ada"):
            assert isinstance(executor.submit(carry(fail)).exception(), LookupError)
        assert isinstance(executor.submit(get_current_user).exception(), OutsideRequestError)


def test_carry_works_for_a_plain_thread() -> None:
    seen: list[str] = []
    with signed_in("ada"):
        thread = threading.Thread(target=carry(lambda: seen.append(get_current_user().username)))
    thread.start()
    thread.join()
    assert seen == ["ada"]


def test_carry_keeps_a_coroutine_function_one() -> None:
    with signed_in("ada"):
        carried = carry(aio_name)
    assert asyncio.run(carried()) == "ada"


async def aio_name() -> str:
    await asyncio.sleep(0)
    return (await aio.get_current_user()).username


def test_carry_outside_a_request_changes_nothing() -> None:
    with pytest.raises(OutsideRequestError):
        carry(get_current_user)()


def test_carry_above_a_function_of_a_module_is_harmless() -> None:
    carried = carry(get_current_user)
    with signed_in("ada"):
        assert carried().username == "ada"


def test_carry_refuses_what_cannot_be_called() -> None:
    with signed_in("ada"), pytest.raises(TypeError, match=r"not carry\(function\(\)\)"):
        carry(get_current_user())  # type: ignore[arg-type]


def test_a_carried_coroutine_may_be_closed_from_another_context() -> None:
    with signed_in("ada"):
        coroutine = carry(waiting)()
    copy_context().run(coroutine.send, None)
    coroutine.close()


async def waiting() -> None:
    await asyncio.sleep(0)


def test_a_half_imported_asyncio_runs_no_loop() -> None:
    code = """
import sys, types
from amplify_mw import fetch_user_attributes
from amplify_mw.testing import signed_in
sys.modules["asyncio"] = types.ModuleType("asyncio")
with signed_in("ada", email="ada@example.com"):
    print(fetch_user_attributes()["email"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "ada@example.com"


def test_carry_takes_the_user_of_where_it_was_called() -> None:
    with signed_in("ada"):
        carried = carry(get_current_user)
    with signed_in("grace"):
        assert carried().username == "ada"
        assert get_current_user().username == "grace"


@pytest.mark.parametrize(
    ("camel", "snake"),
    [
        ("getCurrentUser", "get_current_user"),
        ("fetchUserAttributes", "fetch_user_attributes"),
        ("fetchAuthSession", "fetch_auth_session"),
    ],
)
def test_amplifys_own_names_are_the_same_functions(camel: str, snake: str) -> None:
    for module in (amplify_mw, aio):
        assert getattr(module, camel) is getattr(module, snake)
