"""Requests on one session, whose questions to the store and to Cognito come in every order.

A step of a request ends before its next question, and the requests take their steps in turn: by
every schedule of `LONGEST` turns there is. What is left after that is done one by one.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from amplify_mw.effects import Ask, Meanwhile, Pause
from amplify_mw.sessions.record import has_ended
from amplify_mw.sessions.verdicts import SignedIn
from amplify_mw.stores.memory import MemoryStore
from amplify_mw.testing import LocalUserPool
from tests.sessions.steps import Process, T, World

LONGEST = 5
HOUR = 3600.0
Make = Callable[[], World]
Flow = Callable[[Process, str, Any], Any]


@pytest.fixture
def clock() -> list[float]:
    return [T]


@pytest.fixture
def pool(clock: list[float]) -> Iterator[LocalUserPool]:
    with LocalUserPool(clock=lambda: clock[0]) as pool:
        pool.add_user("ada")
        yield pool


def reads(process: Process, cookie: str, visit: Any) -> Any:
    """A request, which refreshes or extends the session if that is due."""
    del visit
    return process.visiting(cookie)


def ends(process: Process, cookie: str, visit: Any) -> Any:
    """A sign-out."""
    del cookie
    return process.ending(visit)


class Run:
    """One order of the steps of several requests, each in a process of its own."""

    def __init__(
        self,
        pool: LocalUserPool,
        clock: list[float],
        flows: tuple[Flow, ...],
        later: float,
        kind: str = "stored",
    ) -> None:
        self.world = World(pool, clock, kind, rotates=True)
        self.processes = [self.world.process(idle=600 if later < 600 else 7200) for _ in flows]
        self.cookie = self.processes[0].start()
        visits = [process.visit(self.cookie) for process in self.processes]
        self.world.now = T + later
        made = [
            flow(process, self.cookie, visit)
            for process, flow, visit in zip(self.processes, flows, visits, strict=True)
        ]
        self.running: dict[int, Any] = dict(enumerate(map(self.world.steps, made)))
        for which in list(self.running):
            self.step(which)

    def step(self, which: int) -> None:
        """Let a request go on until it is about to ask again, or is over."""
        for effect in self.running[which]:
            is_shared = isinstance(effect, Ask) and effect.store is self.world.store
            if is_shared or isinstance(effect, Meanwhile | Pause):
                return
        del self.running[which]

    @property
    def key(self) -> bytes:
        """The session's key in the store, if it is there."""
        store: Any = self.world.store
        return next(iter(store._entries), b"")


def orders(play: Callable[[], Run], judge: Callable[[Run], None]) -> int:
    """Play in every order; how many there were."""
    pending: list[tuple[int, ...]] = [()]
    count = 0
    while pending:
        order = pending.pop()
        run = play()
        for which in order:
            run.step(which)
        if run.running and len(order) < LONGEST:
            pending += [(*order, which) for which in run.running]
            continue
        while run.running:
            for which in list(run.running):
                run.step(which)
        judge(run)
        count += 1
    return count


@pytest.mark.parametrize("kind", ["stored", "coordinated"])
@pytest.mark.parametrize("later", [HOUR - 30, HOUR + 30, 100], ids=["due", "over", "extension"])
@pytest.mark.parametrize(
    "flows", [(reads, ends), (ends, reads), (reads, ends, reads)], ids=["first", "last", "amid"]
)
def test_a_sign_out_wins_and_the_newest_tokens_are_revoked(
    pool: LocalUserPool, clock: list[float], flows: tuple[Flow, ...], later: float, kind: str
) -> None:
    def judge(run: Run) -> None:
        world = run.world
        for process in run.processes:
            assert not isinstance(process.visit(run.cookie).verdict, SignedIn)
        assert len(world.used) <= 1
        assert f"refresh-{len(world.used)}" in world.revoked
        record = world.store.load(run.key)
        assert record is None or has_ended(record)  # and so no lease is left

    assert orders(lambda: Run(pool, clock, flows, later, kind), judge) > 2


@pytest.mark.parametrize("later", [HOUR - 30, HOUR + 30], ids=["due", "over"])
def test_two_who_find_tokens_due_get_the_same_new_ones_by_one_refresh(
    pool: LocalUserPool, clock: list[float], later: float
) -> None:
    def judge(run: Run) -> None:
        verdicts = [process.visit(run.cookie).verdict for process in run.processes]
        assert run.world.used == ["refresh-0"]
        tokens = {verdict.access_token for verdict in verdicts if isinstance(verdict, SignedIn)}
        assert len(tokens) == 1
        bundles = [verdict.held.bundle for verdict in verdicts if isinstance(verdict, SignedIn)]
        assert {bundle.refresh_token for bundle in bundles} == {b"refresh-1"}
        store: MemoryStore = run.world.store
        assert store.acquire(run.key, 1)  # given back

    assert orders(lambda: Run(pool, clock, (reads, reads), later), judge) > 10
