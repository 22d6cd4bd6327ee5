"""The visit of a request with a `Cookie` header, in the steps that both shells take."""

from typing import Any

from amplify_mw.authenticator import Authenticator, Visit
from amplify_mw.credentials import Credential
from amplify_mw.effects import Flow


def visiting(home: Authenticator, header: bytes, now: float) -> Flow[Visit]:
    """A flow: what is known, or what it takes to know it."""
    value: Any = home.read(header)
    verdict = home.known(value)
    if verdict is not None and now < verdict.fresh_until:
        return Visit.of(home, verdict, header)
    visit = yield from home.authenticate(Credential(home.source, value), now)
    visit.cookies = header
    return visit


def is_known(home: Authenticator, header: bytes, now: float) -> bool:
    """Whether a request with this header would be answered at once."""
    verdict = home.known(home.read(header))
    return verdict is not None and now < verdict.fresh_until
