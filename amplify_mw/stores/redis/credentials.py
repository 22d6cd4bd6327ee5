"""User name and password that are asked for whenever a connection is made.

Rules:
- They are kept nowhere: not in a url, a repr, a pickle or the log. An error names the type of the
  provider's exception alone.
- On an event loop a provider that blocks is asked on a thread.
"""

import asyncio
from collections.abc import Callable
from inspect import iscoroutinefunction
from types import FunctionType
from typing import Any, TypeAlias

import redis
from redis.credentials import CredentialProvider

Credentials: TypeAlias = "CredentialProvider | Callable[[], tuple[str, str]]"


class NoCredentials(redis.RedisError):
    """The provider failed. Its message is the sentence for the operator."""


class Asked(CredentialProvider):
    """Asks the app's provider."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        is_object = isinstance(provider, CredentialProvider)
        self._ask = provider.get_credentials if is_object else provider
        base = CredentialProvider.get_credentials_async  # logs a warning each time
        self._awaits = getattr(type(provider), "get_credentials_async", base) is not base

    def get_credentials(self) -> Any:
        """The provider's answer."""
        try:
            return _checked(self._ask())
        except Exception as error:  # noqa: BLE001  # whatever the app's provider raises
            failure = _failure(error)
        raise failure  # without the provider's exception, which may quote a secret

    async def get_credentials_async(self) -> Any:
        """The same, awaited."""
        try:
            if self._awaits:
                return _checked(await self._provider.get_credentials_async())
            return _checked(await asyncio.to_thread(self._ask))
        except Exception as error:  # noqa: BLE001
            failure = _failure(error)
        raise failure


def is_provider(provider: object) -> bool:
    """Whether it can be asked."""
    is_function = callable(provider) and not iscoroutinefunction(provider)
    return is_function or isinstance(provider, CredentialProvider)


def pickled(provider: Any) -> Any:
    """What a pickle of a store says of its provider: a module's function by its name, no object."""
    is_named = isinstance(provider, FunctionType) and "<" not in provider.__qualname__
    return provider if provider is None or is_named else left_out


def left_out() -> tuple[str, str]:
    """Stands for the provider of a store that was pickled in another process."""
    raise NoCredentials(
        "credentials= was left out of the store's pickle: give it a function of a module, or make "
        "the store in each process"
    )


def _checked(answer: Any) -> tuple[str, ...]:
    if (
        not isinstance(answer, tuple)
        or len(answer) not in (1, 2)
        or not all(isinstance(part, str) for part in answer)
    ):
        raise NoCredentials("credentials= must return a pair of texts: (user, password)")
    return answer


def _failure(error: Exception) -> NoCredentials:
    if isinstance(error, NoCredentials):
        return NoCredentials(*error.args)
    return NoCredentials(f"credentials= has raised {type(error).__name__}")
