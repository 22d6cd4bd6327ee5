"""A session of Cognito itself, in a list of devices.

Rules:
- The `repr` shows no address and no place, so that no log has them by accident.

Only a list of these needs this file; nothing else imports it.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class CognitoSession:
    """One of a user's sessions at Cognito itself, in any app of the user pool.

    From `list_sessions(source="cognito")`. Times are seconds since the epoch. The `repr` does not
    show the person's address and place.
    """

    handle: str
    """Cognito's id of it, for `end_session_by_handle(handle, source="cognito")`."""

    kind: Literal["token", "sso"]
    """`token`: a sign-in of one app client. `sso`: a browser's single sign-on session."""

    client_id: str
    """The app client of the sign-in; "" if Cognito does not say."""

    created_at: float
    """The time of the sign-in; 0.0 if Cognito does not say."""

    seen_at: float
    """The time of the last sign-in, refresh or rotation; 0.0 if Cognito does not say."""

    device: str
    """The operating system and the browser, in Cognito's words; "" if unknown.

    Like the address, it is of the last activity. After a refresh by a server it is the server's.
    """

    ip_address: str = field(repr=False)
    """The address of the last activity; "" if unknown."""

    city: str = field(repr=False)
    """The city of this address, as far as a database tells; "" if unknown."""

    country: str = field(repr=False)
    """Its country, by its English name; "" if unknown."""

    origin: str | None
    """The handle of the single sign-on session that a sign-in came through; None if none."""

    is_current: bool
    """Whether it is the sign-in of this request's access token."""
