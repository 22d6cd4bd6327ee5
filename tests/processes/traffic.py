"""Visitors of a site's processes who come again and again, and what came of that."""

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from tests.patience import until
from tests.processes.cluster import Member

Outcome = tuple[int, str | None]
signed_in: Outcome = (200, None)
not_now: Outcome = (503, None)  # and the cookie is kept


class Traffic:
    """Outcomes of requests, by visitor and by the phase in which they were sent."""

    def __init__(self, members: list[Member], cookies: dict[str, str], at_once: int) -> None:
        self.phase = "before"
        self._ended = threading.Event()
        self._members = members
        self.at_once = at_once
        self._got: dict[tuple[str, int, str], list[Outcome]] = defaultdict(list)
        self._threads = [
            threading.Thread(target=self._visit, args=(name, number, cookie))
            for name, cookie in cookies.items()
            for number in range(len(members))
        ]
        for thread in self._threads:
            thread.start()

    def _visit(self, name: str, number: int, cookie: str) -> None:
        member = self._members[number]
        while not self._ended.is_set():
            phase = self.phase
            answers = member.begin(cookie, count=self.at_once).answers
            self._got[name, number, phase] += [answer.outcome for answer in answers]

    def outcomes(self, name: str, phase: str) -> list[list[Outcome]]:
        """What each member answered to a visitor in a phase, in this order."""
        return [list(self._got[name, n, phase]) for n in range(len(self._members))]

    def wait(self, name: str, *expected: Outcome, count: int = 1) -> None:
        """Until each member has answered so, so many times, in this phase."""

        def came() -> bool:
            each = self.outcomes(name, self.phase)
            return all(sum(found in expected for found in got) >= count for got in each)

        until(came)

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def traffic(members: list[Member], cookies: dict[str, str], at_once: int = 4) -> Iterator[Traffic]:
    """Visitors by name, each with a cookie, who come to all members all the time."""
    running = Traffic(members, cookies, at_once)
    try:
        yield running
    finally:
        running.end()
