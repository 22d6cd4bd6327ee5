"""The checks of the pool, in the order of their lines. Each file has one side of it."""

from collections.abc import Sequence
from typing import Final

from . import client_checks, discovery_checks, key_set_checks, reach_checks, sign_in_checks
from .subject import Probe

REMOTE_PROBES: Final[Sequence[Probe]] = (
    reach_checks.pool_reachable,
    reach_checks.proxy,
    discovery_checks.discovery,
    key_set_checks.key_set,
    client_checks.app_clients,
    client_checks.refresh_api,
    sign_in_checks.sign_in,
    sign_in_checks.sign_out,
    sign_in_checks.token_endpoint,
    reach_checks.clock,
)
