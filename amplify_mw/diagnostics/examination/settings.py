"""Checks of dangerous settings. The log warns of them, too."""

from collections.abc import Iterator, Sequence
from typing import Final

from ...config.dangers import dangers
from ...models.check import Check
from .subject import Probe, Subject

_FINE: Final = {
    "insecure_http": "https, or on this machine",
    "any_client": "the accepted app clients are named",
    "local_pool": "no pool on this machine behind a public site",
    "debug_headers": "off, or on a site that is not public",
}


def configuration(subject: Subject) -> Iterator[Check]:
    """Its pools and clients."""
    for pool in subject.config.user_pools:
        clients = ", ".join(pool.client_id or ("any client",))
        yield Check("configuration", "ok", f"{pool.user_pool_id}, {clients}")


def dangerous_settings(subject: Subject) -> Iterator[Check]:
    """One line for each, there or not."""
    found = list(dangers(subject.config))
    for danger in found:
        yield Check(danger.name, "warning", danger.found, mend=danger.mend)
    named = {danger.name for danger in found}
    for name, text in _FINE.items():
        if name not in named:
            yield Check(name, "ok", text)


PROBES: Final[Sequence[Probe]] = (configuration, dangerous_settings)
