"""One process's connections to a PostgreSQL server, shared by its threads and event loops.

Rules:
- A connection is made when it is first needed, and kept for a few minutes. It belongs to this
  process. A child of `fork()` neither uses nor closes those it inherits.
- An event loop asks by itself if a connection is free, and leaves nothing in the loop afterwards.
  All else that waits (connecting, a turn, another try) is left to a thread of ours. Other threads
  read the answers of cancelled questions: they give connections back that the first wait for.
- No time goes into a question whose time is over, and no connection.
- A place is given back by anything, amid anything: a signal's handler, the garbage collector.
- A question is asked again, once: if a kept connection had broken, if other transactions came in
  between, if the table was gone, and if the server had become a standby. In that case all older
  connections are given up.
- The table is looked at before the first question, and made if it is missing.
- Every failure is a `StoreUnavailable`, without any word of psycopg's or of the address.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context
from queue import Empty, SimpleQueue
from typing import Any, Final

from .errors import AGAIN, BUSY, FOREIGN, LOST, NO_TABLE, NOT_ALLOWED, READ_ONLY, Failed
from .link import READ, WRITE, Flow, Link, Server
from .questions import Question, look, make
from .table import Table

_LIFE: Final = 300.0  # seconds for which a connection is kept, at most
_ENDED: Final = frozenset((LOST, "57P01", "57P02", "57P05"))  # a connection that was kept


class Connections:
    """The connections of one process. Made without any."""

    def __init__(self, server: Server, table: Table, size: int) -> None:
        self._server = server
        self._table = table
        self._size = size
        self._free: SimpleQueue[None] = SimpleQueue()  # a place for each connection not in use
        for _ in range(size):
            self._free.put(None)
        self._idle: list[Link] = []  # the last used comes last
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._since = 0.0  # connections made before are given up
        self._is_looked_at = False
        self._lock = threading.Lock()

    # Asking

    def ask(self, question: Question) -> Any:
        """The answer. Raises `StoreUnavailable`."""
        return self._ask_before(self._deadline(), question)

    async def ask_on_loop(self, question: Question) -> Any:
        """The same, awaited on the running event loop."""
        deadline = self._deadline()
        link = self._take_idle() if self._is_looked_at and _watches_sockets() else None
        if link is None:
            return await self._ask_in_thread(deadline, question)
        failed = None
        try:
            rows = await self._exchange_on_loop(link, question, deadline)
        except Failed as error:
            failed = error
        else:
            return question.read(rows)
        if self._is_worth_another_try(failed):
            return await self._ask_in_thread(deadline, question)
        raise failed.told()

    def ask_as_it_is(self, question: Question) -> Any:
        """The answer, on a new connection, once. A missing table stays so."""
        failed = None
        try:
            return self._exchange(question, self._deadline(), is_kept=False)
        except Failed as error:
            failed = error
        raise failed.told()

    def make_table(self) -> None:
        """Make the table if it is missing. Raises `StoreUnavailable`."""
        self._is_looked_at = False
        self._ask_before(self._deadline(), None)

    def close(self) -> None:
        """Close connections: idle ones now, others after their answer."""
        self._since = float("inf")
        self._close_older()

    def _deadline(self) -> float:
        return time.monotonic() + self._server.timeout

    def _ask_before(self, deadline: float, question: Question | None) -> Any:
        failed = None
        try:
            try:
                return self._try(question, deadline)
            except Failed as error:
                if not self._is_worth_another_try(error):
                    raise
            return self._try(question, deadline, is_kept=False)
        except Failed as error:
            failed = error
        raise failed.told()  # without a word of what was caught

    def _try(self, question: Question | None, deadline: float, *, is_kept: bool = True) -> Any:
        if not self._is_looked_at:
            self._look(deadline)
        return self._exchange(question, deadline, is_kept=is_kept) if question else None

    def _look(self, deadline: float) -> None:
        """See whose table it is, and make it if it is missing."""
        comment = self._exchange(look(self._table), deadline)
        if comment is None:
            try:
                self._exchange(make(self._table), deadline)
            except Failed as error:
                sentence = self._table.why_missing if error.code == NOT_ALLOWED else error.sentence
                raise Failed(error.code, is_lost=error.is_lost, sentence=sentence) from None
        elif (why := self._table.why_foreign(comment)) is not None:
            raise Failed(FOREIGN, is_lost=False, sentence=why)
        self._is_looked_at = True

    def _is_worth_another_try(self, failed: Failed) -> bool:
        if failed.code == READ_ONLY and not failed.is_lost:
            self._since = max(self._since, time.monotonic())
            self._close_older()
            return True
        if failed.code == NO_TABLE:
            self._is_looked_at = False
            return True
        return failed.code in AGAIN or failed.was_kept

    def _exchange(self, question: Question, deadline: float, *, is_kept: bool = True) -> Any:
        link = self._take(deadline, is_kept=is_kept)
        return question.read(self._finish(link, link.exchange(question), deadline))

    def _finish(self, link: Link, flow: Flow, deadline: float, wants: int = 0) -> Any:
        """The rows of the answer; gives the connection back."""
        was_used, is_lost = link.was_used, True
        try:
            rows = link.ask(flow, deadline, wants)
            is_lost = False
            return rows
        except Failed as error:
            is_lost = error.is_lost
            error.was_kept = was_used and error.code in _ENDED
            raise
        finally:
            self._give(link, is_lost=is_lost)

    async def _exchange_on_loop(self, link: Link, question: Question, deadline: float) -> Any:
        flow, is_lost = link.exchange(question), True
        try:
            rows = await link.ask_on_loop(flow, deadline)
            is_lost = False
            return rows
        except Failed as error:
            is_lost = error.is_lost
            error.was_kept = error.code in _ENDED
            raise
        except asyncio.CancelledError:
            # The answer is still to come. The connection is as good as before afterwards.
            if link.is_ours():
                self._submit("finishing", self._finish, link, flow, deadline, READ | WRITE)
                link = None  # type: ignore[assignment]
            raise
        finally:
            if link is not None:
                self._give(link, is_lost=is_lost)

    # Threads

    async def _ask_in_thread(self, deadline: float, question: Question) -> Any:
        """Ask in a thread, if one has time for it before the deadline."""
        asking = self._submit("asking", self._ask_before, deadline, question)
        answer = asyncio.wrap_future(asking)
        try:
            await asyncio.wait((answer,), timeout=max(0.0, deadline - time.monotonic()))
            if not asking.cancel():  # it has begun, and watches its deadline by itself
                return await answer
        finally:
            with suppress(RuntimeError):  # its loop was closed without waiting for it
                answer.cancel()
        raise Failed(BUSY, is_lost=False).told()

    def _submit(self, kind: str, work: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        with self._lock:
            threads = self._threads.get(kind)
            if threads is None:
                threads = ThreadPoolExecutor(self._size, f"amplify_mw-postgres-{kind}")
                self._threads[kind] = threads
        # In no request's context: a thread that starts now may keep it.
        return Context().run(threads.submit, work, *arguments)

    # Connections

    def _take(self, deadline: float, *, is_kept: bool) -> Link:
        """A connection, a new one unless `is_kept`. Raises `Failed`."""
        try:
            self._free.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            raise Failed(BUSY, is_lost=False) from None
        try:
            while (link := self._pop()) is not None:
                if is_kept and self._is_well(link):
                    return link
                link.close()
                if not is_kept:
                    break  # only for its place
            return self._server.connect()
        except BaseException:
            self._free.put(None)
            raise

    def _take_idle(self) -> Link | None:
        """A connection that need not be waited for, if there is one."""
        try:
            self._free.get_nowait()
        except Empty:
            return None
        link = self._pop()
        if link is not None:
            if self._is_well(link):
                return link
            link.close()
        self._free.put(None)
        return None

    def _pop(self) -> Link | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _is_well(self, link: Link) -> bool:
        return not self._is_old(link) and link.is_silent()

    def _is_old(self, link: Link) -> bool:
        return link.made_at < max(self._since, time.monotonic() - _LIFE)

    def _give(self, link: Link, *, is_lost: bool) -> None:
        """Give a connection back."""
        if is_lost or self._is_old(link):
            link.close()
        else:
            self._idle.append(link)
            if self._is_old(link):  # closed meanwhile
                self._close_older()
        self._free.put(None)

    def _close_older(self) -> None:
        """Close idle connections that are given up."""
        found = []
        while (link := self._pop()) is not None:
            found.append(link)
        for link in found:
            if self._is_old(link):
                link.close()
            else:
                self._idle.append(link)


def _watches_sockets() -> bool:
    """Whether the running event loop can wait for a socket; on Windows one cannot."""
    watch = type(asyncio.get_running_loop()).add_reader
    return watch is not asyncio.AbstractEventLoop.add_reader
