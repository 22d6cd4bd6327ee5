"""The driver of an app with `telemetry=`: it measures the operations that it carries out.

Rules:
- One operation is one measurement, however many requests it sends: another Region, another secret
  and a page of a list are parts of it. What only waits for a flight in the air is none.
- A flight goes on in the context of the request that has started it. It is measured from its
  departure to its landing, whoever gives up meanwhile.
- A store in this process's memory is no other system: asking it is not measured. Nor is the renewal
  of a lease beside a refresh.
- What the telemetry raises goes no further. It is logged, the first time.
"""

from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

from ..effects import Ask, Flight, OperationName, Request, Response, Unreachable
from ..log import logger
from ..stores.memory import MemoryStore
from ..telemetry import Ongoing, Seen, Telemetry, Watched
from .driver import Driver


class Measuring:
    """Calls an app's telemetry. Its failures are logged once, and go no further."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._has_failed = False

    @property
    def sees_requests(self) -> bool:
        """Whether each request is told."""
        return self._has("on_request") and bool(getattr(self._telemetry, "sees_requests", False))

    @property
    def times_operations(self) -> bool:
        """Whether operations are measured."""
        return self._has("begin")

    def _has(self, method: str) -> bool:
        return callable(getattr(self._telemetry, method, None))

    def context(self) -> object:
        """The caller's place in a trace."""
        try:
            return self._telemetry.context() if self._has("context") else None
        except Exception as error:  # noqa: BLE001  # whatever the object does
            self.note(error)
            return None

    def begin(
        self, operation: OperationName | None, context: object = None, *, store: str = ""
    ) -> "Measured":
        """Begin an operation."""
        try:
            ongoing = self._telemetry.begin(operation, context, store=store)
        except Exception as error:  # noqa: BLE001
            self.note(error)
            return Measured(self, None)
        return Measured(self, ongoing)

    def watch(self, watched: Watched) -> None:
        """Show the state of caches and outages."""
        try:
            if self._has("watch"):
                self._telemetry.watch(watched)
        except Exception as error:  # noqa: BLE001
            self.note(error)

    def on_request(self, user: Seen | None) -> None:
        """A request came in."""
        try:
            self._telemetry.on_request(user)
        except Exception as error:  # noqa: BLE001
            self.note(error)

    def note(self, error: Exception) -> None:
        """Log a failure, the first time."""
        if not self._has_failed:
            self._has_failed = True
            logger.error("telemetry has failed; this is said once", exc_info=error)


class Measured:
    """An operation under way. `ongoing`: None if the telemetry has failed at its beginning."""

    __slots__ = ("_measuring", "_ongoing")

    def __init__(self, measuring: Measuring, ongoing: Ongoing | None) -> None:
        self._measuring: Final = measuring
        self._ongoing: Final = ongoing

    def asked(self, url: str, status: int | None) -> None:
        """A request was sent."""
        try:
            if self._ongoing is not None:
                self._ongoing.asked(url, status)
        except Exception as error:  # noqa: BLE001
            self._measuring.note(error)

    def end(self, error: str | None) -> None:
        """It is over."""
        try:
            if self._ongoing is not None:
                self._ongoing.end(error)
        except Exception as raised:  # noqa: BLE001
            self._measuring.note(raised)


class MeasuringDriver(Driver):
    """A driver whose operations are measured. It shares the flights and connections of another."""

    def __init__(self, driver: Driver, measuring: Measuring) -> None:
        self.__dict__.update(driver.__dict__)
        self._measuring = measuring

    def _join(self, flight: Flight) -> "Future[Any]":
        measuring = self._measuring
        context = measuring.context()

        def carry(flight: Flight) -> Any:
            operation = flight.operation
            measured = measuring.begin(None if operation is None else operation.name, context)
            error: str | None = "unknown"
            try:
                result = _Carrier(self, measured).run(flight.flow(self.clock()))
                error = None
                if operation is not None:
                    with suppress(Exception):  # no flight fails for that
                        error = operation.error_of(result)
                return result
            except BaseException as raised:
                error = _name_of(raised)
                raise
            finally:
                measured.end(error)

        return self._flights.join(flight, carry)

    def _ask(self, effect: Ask[Any]) -> Any:
        if isinstance(effect.store, MemoryStore):
            return super()._ask(effect)
        measured = self._measuring.begin("store", store=_named(effect))
        error: str | None = None
        try:
            return super()._ask(effect)
        except BaseException as raised:
            error = _name_of(raised, "store_unavailable")
            raise
        finally:
            measured.end(error)

    async def _ask_awaited(self, effect: Ask[Any]) -> Any:
        if isinstance(effect.store, MemoryStore):
            return await super()._ask_awaited(effect)
        measured = self._measuring.begin("store", store=_named(effect))
        error: str | None = None
        try:
            return await super()._ask_awaited(effect)
        except BaseException as raised:  # a cancellation, too
            error = _name_of(raised, "store_unavailable")
            raise
        finally:
            measured.end(error)


class _Carrier(MeasuringDriver):
    """Carries one flight out. `measured`: its operation."""

    def __init__(self, driver: MeasuringDriver, measured: Measured) -> None:
        super().__init__(driver, driver._measuring)
        self._measured = measured

    def _send(self, request: Request) -> Response:
        status: int | None = None
        try:
            response = super()._send(request)
            status = response.status
            return response
        finally:
            self._measured.asked(request.url, status)


def _named(ask: Ask[Any]) -> str:
    return f"{type(ask.store).__name__}.{ask.method}"


def _name_of(error: BaseException, unreachable: str = "unreachable") -> str:
    return unreachable if isinstance(error, Unreachable) else type(error).__qualname__
