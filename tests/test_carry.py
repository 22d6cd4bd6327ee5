"""`carry`: every kind of function takes the user along, during its call and no longer."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplify_mw import AuthError, OutsideRequestError, carry, get_current_user
from amplify_mw.authenticator import Visit
from amplify_mw.engine.context import CARRIED, CURRENT
from amplify_mw.testing import signed_in, signed_out


def who() -> str:
    """Whom the verbs see here."""
    try:
        return get_current_user().username
    except AuthError as error:
        return error.reason
    except OutsideRequestError as error:
        return "over" if error.is_over else "outside"


async def awho() -> str:
    await asyncio.sleep(0)
    return who()


def steps() -> Iterator[str]:
    yield who()
    yield who()


async def asteps() -> AsyncIterator[str]:
    yield who()
    await asyncio.sleep(0)
    yield who()


class Asking:
    """An object that is called."""

    def __call__(self) -> str:
        return who()


class AwaitedAsking:
    """One whose call is awaited."""

    async def __call__(self) -> str:
        return await awho()


async def _all(items: AsyncIterator[Any]) -> list[str]:
    return [item async for item in items]


def outcome(made: Any) -> list[str]:
    """All that a call says, whatever has to be done for it."""
    if inspect.iscoroutine(made):
        return [asyncio.run(made)]
    if inspect.isasyncgen(made):
        return asyncio.run(_all(made))
    return [made] if isinstance(made, str) else list(made)


KINDS: dict[str, Callable[[], Any]] = {
    "function": who,
    "lambda": lambda: who(),
    "partial": functools.partial(who),
    "object": Asking(),
    "method": Asking().__call__,
    "coroutine function": awho,
    "lambda of a coroutine": lambda: awho(),
    "partial of a coroutine function": functools.partial(awho),
    "awaited object": AwaitedAsking(),
    "generator function": steps,
    "lambda of a generator": lambda: steps(),
    "async generator function": asteps,
    "lambda of an async generator": lambda: asteps(),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """A function of each kind."""
    return KINDS[request.param]


def test_each_kind_takes_the_user_along_after_the_request_and_leaves_nobody(kind: Any) -> None:
    with signed_in("ada"):
        carried = carry(kind)
        assert set(outcome(carried())) == {"ada"}
    assert set(outcome(carried())) == {"ada"}
    assert (who(), CURRENT.get(), CARRIED.get()) == ("outside", None, None)
    with ThreadPoolExecutor(1) as worker:
        assert set(worker.submit(lambda: outcome(carried())).result()) == {"ada"}
        assert worker.submit(who).result() == "outside"


def test_each_kind_stays_what_it_is(kind: Any) -> None:
    with signed_in("ada"):
        carried = carry(kind)
    is_awaited = inspect.iscoroutinefunction(kind) or isinstance(kind, AwaitedAsking)
    assert inspect.iscoroutinefunction(carried) is is_awaited
    for look in (inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert look(carried) is look(kind)
    assert getattr(carried, "__name__", None) in (getattr(kind, "__name__", None), "carried")


def test_each_kind_hides_the_user_of_where_it_is_called(kind: Any) -> None:
    with signed_in("ada"):
        carried = carry(kind)
    with signed_in("grace"):
        assert set(outcome(carried())) == {"ada"}
        assert who() == "grace"


def test_nobody_is_carried_as_nobody(kind: Any) -> None:
    with signed_out():
        carried = carry(kind)
    assert set(outcome(carried())) == {"no_session"}


def test_between_the_steps_of_a_generator_its_user_is_gone() -> None:
    with signed_in("ada"):
        carried = carry(steps)
    with signed_in("grace"):
        for item in carried():
            assert (item, who()) == ("ada", "grace")


def test_between_the_steps_of_an_async_generator_its_user_is_gone() -> None:
    async def main() -> None:
        async for item in carried():
            assert (item, who()) == ("ada", "outside")

    with signed_in("ada"):
        carried = carry(asteps)
    asyncio.run(main())


def test_between_the_steps_of_a_coroutine_its_user_is_gone() -> None:
    class Pause:
        def __await__(self) -> Iterator[None]:
            yield

    async def two_steps() -> list[str]:
        seen = [who()]
        await Pause()
        return [*seen, who()]

    with signed_in("ada"):
        carried = carry(two_steps)
    coroutine = carried()
    coroutine.send(None)
    assert (who(), CURRENT.get(), CARRIED.get()) == ("outside", None, None)
    with signed_in("grace"):
        with pytest.raises(StopIteration) as end:
            coroutine.send(None)
        assert (end.value.value, who()) == (["ada", "ada"], "grace")
    assert (who(), CURRENT.get(), CARRIED.get()) == ("outside", None, None)


@pytest.mark.parametrize("kind", ["coroutine function", "async generator function"])
def test_a_task_in_the_same_context_does_not_see_a_carried_user(kind: str) -> None:
    async def watch() -> set[str]:
        seen = set[str]()
        for _ in range(5):
            seen.add(who())
            await asyncio.sleep(0)
        return seen

    async def all_of(made: Any) -> list[str]:
        return await _all(made) if inspect.isasyncgen(made) else [await made]

    async def main() -> None:
        context = copy_context()
        task = asyncio.create_task(all_of(carried()), context=context)
        other = asyncio.create_task(watch(), context=context)
        assert await other == {"outside"}
        assert set(await task) == {"ada"}

    with signed_in("ada"):
        carried = carry(KINDS[kind])
    asyncio.run(main())


def test_a_coroutine_closed_within_another_request_cleans_up_with_its_own_user() -> None:
    seen = list[str]()

    async def cleaning() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            seen.append(who())

    with signed_in("ada"):
        coroutine = carry(cleaning)()
    copy_context().run(coroutine.send, None)
    with signed_in("grace"):
        coroutine.close()
        assert who() == "grace"
    assert seen == ["ada"]
    assert (who(), CARRIED.get()) == ("outside", None)


def test_each_step_may_be_taken_on_another_thread_and_in_another_context() -> None:
    with signed_in("ada"):
        generator = carry(steps)()
    with ThreadPoolExecutor(1) as worker:
        assert worker.submit(next, generator).result() == "ada"
        assert worker.submit(who).result() == "outside"
    assert copy_context().run(next, generator) == "ada"
    assert list(generator) == []


def test_a_task_that_a_carried_call_leaves_behind_has_no_user() -> None:
    async def outlive(going: asyncio.Event) -> str:
        await going.wait()
        return who()

    async def start(going: asyncio.Event, kind: Any) -> Any:
        return asyncio.create_task(kind(outlive)(going))

    async def main() -> list[str]:
        going = asyncio.Event()
        left = await carried(going, lambda function: function)
        taken = await carried(going, carry)
        going.set()
        return [await left, await taken]

    with signed_in("ada"):
        carried = carry(start)
    assert asyncio.run(main()) == ["over", "ada"]


def test_a_context_copied_in_a_generator_has_its_user_until_that_ends() -> None:
    contexts = list[Context]()

    def copying() -> Iterator[None]:
        contexts.append(copy_context())
        yield

    with signed_in("ada"):
        generator = carry(copying)()
    next(generator)
    assert contexts[0].run(who) == "ada"
    assert list(generator) == []
    assert contexts[0].run(who) == "over"


def test_it_is_too_late_to_carry_once_the_request_is_over() -> None:
    with signed_in("ada"):
        context = copy_context()
    with pytest.raises(OutsideRequestError, match=r"call carry\(function\) in the request"):
        context.run(carry, who)


def test_what_a_carried_function_carries_on_has_the_user_too() -> None:
    with signed_in("ada"):
        carried = carry(lambda: carry(who))
    assert carried()() == "ada"


def test_carry_after_the_request_is_right_inside_a_carried_call_only() -> None:
    kept = list[Context]()

    def keep() -> str:
        kept.append(copy_context())
        return kept[0].run(who)

    with signed_in("ada"):
        carried = carry(keep)
    assert carried() == "ada"
    assert kept[0].run(who) == "over"
    with pytest.raises(OutsideRequestError):
        kept[0].run(carry, who)


def test_a_carried_user_is_gone_when_the_token_runs_out(kind: Any) -> None:
    with signed_in("ada"):
        carried = carry(kind)
        visit = CURRENT.get()
        assert isinstance(visit, Visit)
        visit.verdict.expires_at = 0  # type: ignore[union-attr, misc]
    assert set(outcome(carried())) == {"token_expired"}


def test_a_carried_coroutine_that_is_cancelled_leaves_nobody() -> None:
    async def wait() -> None:
        contexts.append(copy_context())
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(carried())
        await asyncio.sleep(0)
        assert contexts[0].run(who) == "ada"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert who() == "outside"

    contexts = list[Context]()
    with signed_in("ada"):
        carried = carry(wait)
    asyncio.run(main())
    assert contexts[0].run(who) == "over"


def test_an_async_generator_that_is_closed_early_cleans_up_with_its_user() -> None:
    seen = list[str]()

    async def cleaning() -> AsyncIterator[str]:
        try:
            yield who()
        finally:
            await asyncio.sleep(0)
            seen.append(who())

    async def main() -> None:
        generator: Any = carried()
        seen.append(await anext(generator))
        await generator.aclose()
        seen.append(who())

    with signed_in("ada"):
        carried = carry(cleaning)
    asyncio.run(main())
    assert seen == ["ada", "ada", "outside"]


# --- a carried generator does what the generator does


def talking(behaviour: list[str]) -> Generator[object, object, object]:
    got: object = None
    for act in behaviour:
        try:
            if act == "raise":
                raise LookupError(str(got))
            if act == "return":
                return got
            got = yield (act, got, who())
        except ValueError as error:
            got = f"caught {error}"
    return "the end"


async def atalking(behaviour: list[str]) -> Any:
    got: object = None
    for act in behaviour:
        try:
            if act == "raise":
                raise LookupError(str(got))
            if act == "return":
                return
            got = yield (act, got, who())
        except ValueError as error:
            got = f"caught {error}"


def _driven(generator: Any, drive: list[str]) -> list[object]:
    said: list[object] = []
    for act in drive:
        try:
            if act == "throw":
                said.append(generator.throw(ValueError("thrown")))
            elif act == "close":
                said.append(generator.close())
            else:
                said.append(generator.send(None if act == "next" else act))
        except (LookupError, ValueError, RuntimeError, TypeError) as error:
            said.append(repr(error))
        except StopIteration as end:
            said.append(("end", end.value))
    return said


async def _adriven(generator: Any, drive: list[str]) -> list[object]:
    said: list[object] = []
    for act in drive:
        try:
            if act == "throw":
                said.append(await generator.athrow(ValueError("thrown")))
            elif act == "close":
                said.append(await generator.aclose())
            else:
                said.append(await generator.asend(None if act == "next" else act))
        except (LookupError, ValueError, RuntimeError, TypeError) as error:
            said.append(repr(error))
        except StopAsyncIteration:
            said.append("end")
    return said


BEHAVIOUR = st.lists(st.sampled_from(["yield", "raise", "return"]), max_size=4)
DRIVE = st.lists(st.sampled_from(["next", "sent", "throw", "close"]), max_size=5)


@given(behaviour=BEHAVIOUR, drive=DRIVE)
def test_a_carried_generator_answers_as_the_generator_itself(
    behaviour: list[str], drive: list[str]
) -> None:
    drive = ["next", *drive]
    with signed_in("ada"):
        carried = carry(talking)
        expected = _driven(talking(behaviour), drive)
    assert _driven(carried(behaviour), drive) == expected


@given(behaviour=BEHAVIOUR, drive=DRIVE)
def test_a_carried_async_generator_answers_as_the_generator_itself(
    behaviour: list[str], drive: list[str]
) -> None:
    drive = ["next", *drive]
    with signed_in("ada"):
        carried = carry(atalking)
        expected = asyncio.run(_adriven(atalking(behaviour), drive))
    assert asyncio.run(_adriven(carried(behaviour), drive)) == expected


class _Pause:
    """What is awaited gives `item` to the one who drives, and what that one sends back."""

    def __init__(self, item: object) -> None:
        self._item = item

    def __await__(self) -> Generator[object, object, object]:
        return (yield self._item)


async def awaiting(behaviour: list[str]) -> object:
    got: object = None
    for act in behaviour:
        try:
            if act == "raise":
                raise LookupError(str(got))
            if act == "return":
                return got
            got = await _Pause((act, got, who()))
        except ValueError as error:
            got = f"caught {error}"
    return "the end"


@given(behaviour=BEHAVIOUR, drive=DRIVE)
def test_a_carried_coroutine_answers_as_the_coroutine_itself(
    behaviour: list[str], drive: list[str]
) -> None:
    drive = ["next", *drive]
    with signed_in("ada"):
        carried = carry(awaiting)
        expected = _driven(awaiting(behaviour), drive)
    assert _driven(carried(behaviour), drive) == expected
