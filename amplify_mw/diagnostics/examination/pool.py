"""The checks of the pool, in the order of their lines. Each file has one side of it."""

from collections.abc import Sequence
from typing import Final

from . import clients, discovery, key_sets, reach, sign_in
from .subject import Probe

REMOTE_PROBES: Final[Sequence[Probe]] = (
    reach.pool_reachable,
    reach.proxy,
    discovery.discovery,
    key_sets.key_set,
    clients.app_clients,
    clients.refresh_api,
    sign_in.sign_in,
    sign_in.sign_out,
    sign_in.token_endpoint,
    reach.clock,
)
