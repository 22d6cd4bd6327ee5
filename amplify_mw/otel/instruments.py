"""The instruments of one meter provider, shared by all `OpenTelemetry` objects that use it.

    amplify_mw.outcomes             counter: sign-ins, refusals and the like
    amplify_mw.requests             counter: requests of signed-in users, if they are to be counted
    amplify_mw.operation.duration   histogram, seconds: calls to Cognito and to the store
    amplify_mw.cache.entries        entries of a cache
    amplify_mw.cache.size           its bytes, roughly
    amplify_mw.outage               1 while a dependency does not answer, else 0

Rules:
- Counts are kept here, and read when metrics are collected: a count costs a request a dictionary's
  entry, where a call of the SDK's counter takes some microseconds. (So they have no exemplars.)
- A cache is shown once, however many apps and objects share it, and as long as an app uses it.
- The attributes of a metric are of small sets of words. Beyond `_MOST` sets of values, a reason is
  counted as "_OTHER".
- A child of `fork()` counts from zero: its parent reports what was before.
- A count may come in the midst of another one, on the same thread: from a signal handler, or the
  `__del__` of an app's object.
"""

import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, Final, get_args

from ..effects import OperationName
from ..telemetry import CacheName, Watched
from .api import metrics

_MOST: Final = 1_000
_OTHER: Final = "_OTHER"  # the semantic conventions' word
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# What there is no outage of: a refused end of a session at Cognito is one of `list_sessions`.
_DEPENDENCIES: Final = tuple(name for name in get_args(OperationName) if name != "end_session")

Outcome = tuple[str, str, str, int]  # the outcome, the reason, the kind of session, the status
_NAMES: Final = (
    "amplify_mw.outcome",
    "amplify_mw.reason",
    "amplify_mw.session.kind",
    "http.response.status_code",
)


class Instruments:
    """One provider's. `provider`: None for the global one, which may be set later."""

    def __init__(self, provider: metrics.MeterProvider | None, version: str) -> None:
        meter = metrics.get_meter("amplify_mw", version, provider)
        self._watched: dict[int, weakref.ref[Watched]] = {}
        self.forget_counts()
        meter.create_observable_counter(
            "amplify_mw.outcomes", [self._read_outcomes], "{outcome}", "What came of sessions."
        )
        meter.create_observable_counter(
            "amplify_mw.requests", [self._read_requests], "{request}", "Requests of known users."
        )
        self.duration: Final = meter.create_histogram(
            "amplify_mw.operation.duration",
            "s",
            "Calls to Cognito and to the session store.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        meter.create_observable_up_down_counter(
            "amplify_mw.cache.entries", [self._read_entries], "{entry}", "Entries of a cache."
        )
        meter.create_observable_up_down_counter(
            "amplify_mw.cache.size", [self._read_sizes], "By", "Bytes of a cache, roughly."
        )
        meter.create_observable_gauge(
            "amplify_mw.outage", [self._read_outages], "", "1 while it does not answer."
        )
        _all.add(self)

    def forget_counts(self) -> None:
        """Count from zero."""
        self._lock = threading.RLock()
        self._outcomes: dict[Outcome, int] = {}
        self._requests: dict[str, int] = {}

    def count(
        self, outcome: str, reason: str = "", kind: str | None = None, status: int = 0
    ) -> None:
        """Count an outcome. What is empty or 0 is left out."""
        self._add((outcome, reason, kind or "", status))

    def count_refusal(self, reason: str, status: int, kind: str | None) -> None:
        """Count a refusal. In an attack there are many: it calls nothing else for most."""
        key = ("refused", reason, kind or "", status)
        with self._lock:
            before = self._outcomes.get(key)
            if before is not None:
                self._outcomes[key] = before + 1
                return
        self._add(key)

    def _add(self, key: Outcome) -> None:
        with self._lock:
            counts = self._outcomes
            if key not in counts and len(counts) >= _MOST:
                key = (key[0], _OTHER, "", key[3])
            counts[key] = counts.get(key, 0) + 1

    def count_request(self, kind: str) -> None:
        """Count a request of a signed-in user."""
        with self._lock:
            self._requests[kind] = self._requests.get(kind, 0) + 1

    def watch(self, watched: Watched) -> None:
        """Show a state, as long as an app has it."""
        table, own = self._watched, id(watched)
        table[own] = weakref.ref(watched, lambda _: table.pop(own, None))

    def _states(self) -> list[Watched]:
        found = [reference() for reference in list(self._watched.values())]
        return [state for state in found if state is not None]

    # Read when metrics are collected.

    def _read_outcomes(self, _: object) -> Iterator[metrics.Observation]:
        with self._lock:
            counts = self._outcomes.copy()
        for values, count in counts.items():
            named: list[tuple[str, str | int]] = list(zip(_NAMES, values, strict=True))
            yield metrics.Observation(count, {name: value for name, value in named if value})

    def _read_requests(self, _: object) -> Iterator[metrics.Observation]:
        with self._lock:
            counts = self._requests.copy()
        for kind, count in counts.items():
            yield metrics.Observation(count, {"amplify_mw.session.kind": kind})

    def _read_entries(self, _: object) -> Iterable[metrics.Observation]:
        return self._read_caches(0)

    def _read_sizes(self, _: object) -> Iterable[metrics.Observation]:
        return self._read_caches(1)

    def _read_caches(self, which: int) -> Iterator[metrics.Observation]:
        sums: dict[CacheName, int] = {}
        for state in self._states():
            for name, sizes in state.cache_sizes().items():
                sums[name] = sums.get(name, 0) + sizes[which]
        for name, value in sums.items():
            yield metrics.Observation(value, {"amplify_mw.cache": name})

    def _read_outages(self, _: object) -> Iterator[metrics.Observation]:
        states = self._states()
        failing = {name for state in states for name in state.failing()}
        for name in _DEPENDENCIES if states else ():
            yield metrics.Observation(int(name in failing), {"amplify_mw.dependency": name})


_all: "Final[weakref.WeakSet[Instruments]]" = weakref.WeakSet()
_of_providers: "Final[weakref.WeakKeyDictionary[Any, Instruments]]" = weakref.WeakKeyDictionary()
_global: Final[list[Instruments]] = []
_making: Final = threading.RLock()


def instruments_of(provider: metrics.MeterProvider | None, version: str) -> Instruments:
    """The instruments of a provider, made once."""
    with _making:
        if provider is None and not _global:
            known = _of_providers.get(metrics.get_meter_provider())  # a stand-in until one is set
            _global.append(known or Instruments(None, version))
        if provider is None or (_global and provider is metrics.get_meter_provider()):
            return _global[0]
        found = _of_providers.get(provider)
        if found is None:
            found = _of_providers[provider] = Instruments(provider, version)
        return found


def _after_fork_in_child() -> None:
    for instruments in list(_all):
        instruments.forget_counts()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_making.acquire, after_in_parent=_making.release, after_in_child=_making.release
    )
    os.register_at_fork(after_in_child=_after_fork_in_child)
