"""`examine`: a configuration, looked at from all sides. `amplify-mw doctor` prints it.

Rules:
- `PROBES` ask nobody; `REMOTE_PROBES` of the same files ask the pool or a store. A file of checks
  has one or both.
- An exception in a probe makes a line of outcome "unknown", never a traceback. Its text is not
  shown: it might hold a secret.
- Nothing is changed anywhere: no sign-in is tried, and no user and no password are sent.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ...config.config import AmplifyConfig
from ...engine.http import HttpClient
from ...errors import ConfigurationError
from ...models.check import Check, Outcome
from ..report import as_dicts, as_text, exit_status
from . import (
    cookies,
    keys,
    packages,
    paths,
    pool,
    settings,
    stores,
)
from .subject import Network, Probe, Subject

_LOCAL: Sequence[Probe] = (
    *settings.PROBES,
    *cookies.PROBES,
    *paths.PROBES,
    *keys.PROBES,
    *stores.PROBES,
    *packages.PROBES,
)
_REMOTE: Sequence[Probe] = (*pool.REMOTE_PROBES, *stores.REMOTE_PROBES)


_ORDER: Final[Sequence[Outcome]] = ("ok", "unknown", "warning", "wrong")


class Examination(NamedTuple):
    """The checks of a configuration. `str()`: as `amplify-mw doctor` prints them.

    >>> from amplify_mw import AmplifyConfig
    >>> config = AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id=None)
    >>> [check.name for check in examine(config, network=False).checks if check.outcome != "ok"]
    ['any_client']
    """

    checks: tuple[Check, ...]
    strict: bool = False
    """Whether a warning counts as wrong."""

    @property
    def exit_status(self) -> int:
        """0, or 1 if something is wrong, or else 3 if something cannot be told."""
        return exit_status(self.checks, strict=self.strict)

    def to_dict(self) -> dict[str, Any]:
        """The checks and the exit status, as `amplify-mw doctor --json` prints them."""
        return {"exit_status": self.exit_status, "checks": as_dicts(self.checks)}

    def __str__(self) -> str:
        """The lines, the worst ones last: a terminal shows these; and how many there are."""
        lines = sorted(self.checks, key=lambda check: _ORDER.index(check.outcome))
        count = Counter(check.outcome for check in lines)
        counts = [f"{count[each]} {each}" for each in reversed(_ORDER) if count[each]]
        return f"{as_text(lines)}\n\n{', '.join(counts)}"


def examine(
    config: AmplifyConfig,
    *,
    network: bool = True,
    strict: bool = False,
    clock: Callable[[], float] = time.time,
) -> Examination:
    """Examine a configuration: the pool behind it, the site's settings, the keys and the store.

    `network`: False asks neither the pool nor a store's server. `strict`: a warning counts as wrong
    for the exit status. `clock`: seconds since the epoch.
    It waits for answers, for `http_timeout` seconds each at most, and as long as the store and the
    system's look-up of names may take; on an event loop, use a thread:
    `await asyncio.to_thread(examine, config)`. Nothing is changed anywhere.
    Raises `ConfigurationError` if `config` is no `AmplifyConfig`.
    """
    if not isinstance(config, AmplifyConfig):
        raise ConfigurationError("config: write AmplifyConfig(...)")
    found = list(_checks(_LOCAL, Subject(config, clock)))
    if network:
        found += remote_checks(config, clock)
    return Examination(tuple(found), strict)


def remote_checks(config: AmplifyConfig, clock: Callable[[], float] = time.time) -> list[Check]:
    """The checks of the pool and of a store's server."""
    try:
        client = HttpClient(config.http_timeout, proxy=config.proxy)
    except ConfigurationError as error:  # of the environment's proxy
        return [Check("proxy", "wrong", str(error))]
    try:
        return list(_checks(_REMOTE, Subject(config, clock, Network(client, clock))))
    finally:
        client.close()


def _checks(probes: Sequence[Probe], subject: Subject) -> Iterator[Check]:
    for probe in probes:
        try:
            yield from probe(subject)
        except Exception as error:  # noqa: BLE001 - an answer, whatever is wrong
            yield Check(
                probe.__name__,
                "unknown",
                f"this check failed with {type(error).__name__}",
                mend="report it, with this line",
            )
