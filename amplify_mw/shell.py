"""What the two shells share: one middleware's engine, and the few questions around a visit.

Rules:
- A middleware inside another of the same configuration passes through; of another one, it shadows;
  two pools under one cookie name are refused, since each would clear the other's sessions.
- A visit a test has pinned (`signed_in`) wins over every middleware inside it.
- Each refusal is told to the log at DEBUG, by its reason alone.
"""

import logging
from http import HTTPStatus
from typing import Any

from .access import Access, Answer, Asked
from .authenticator import Visit
from .config import AmplifyConfig
from .engine import Engine
from .errors import AuthError, ConfigurationError
from .sessions.base import SignedIn

logger = logging.getLogger("amplify_mw")


class Shell:
    """The part of a middleware that knows neither WSGI nor ASGI.

    `options`: fields of `AmplifyConfig` to change for this middleware alone.
    """

    def __init__(self, config: AmplifyConfig | Engine, **options: Any) -> None:
        if options and isinstance(config, AmplifyConfig):
            config = config.replace(**options)
        self.engine = Engine.of(config)
        self._clock = self.engine.clock
        self._home = self.engine.authenticator
        self._peek = self._home.peek
        self._rules = self._home.rules

    def _passes_through(self, outer: Visit) -> bool:
        """Whether this middleware, inside the one that made `outer`, has nothing to add."""
        if outer.pinned or outer.home is self._home:
            return True
        if outer.home.config.cookie.name != self._home.config.cookie.name:
            return False
        if outer.home.issuers != self._home.issuers:
            raise ConfigurationError(
                f"two middlewares around one app read the cookie {self._home.config.cookie.name!r} "
                "for different user pools, and each would clear the other's sessions: give one of "
                "them a cookie of its own, AmplifyConfig(cookie=CookiePolicy(name='...'))"
            )
        return False

    def _guard(self, visit: Visit, access: Access, asked: Asked) -> Answer | None:
        """The answer to a request that may not pass; None if it may."""
        if access is not Access.PROTECTED or asked.is_preflight:
            return None
        if self._home.refusals.is_login_page(asked):
            return None
        visit.asked = True
        if isinstance(visit.verdict, SignedIn):
            return None
        return answer_to(visit, asked, visit.verdict.exception())


def answer_to(visit: Visit, asked: Asked, error: AuthError) -> Answer:
    """The answer to a request of this visit that `error` hinders."""
    visit.asked = True
    answer = visit.home.refusals.to(asked, error)
    if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR:  # nobody's cookie: a fault to be found
        logger.error("answered 500: %s", error.reason, exc_info=error)
    else:
        logger.debug("answered %d: %s", answer.status, error.reason)
    return answer


def log_refusal(visit: Visit) -> None:
    """Tell the log why a cookie signed nobody in."""
    if not isinstance(visit.verdict, SignedIn):
        logger.debug("cookie refused: %s", visit.verdict.reason)
