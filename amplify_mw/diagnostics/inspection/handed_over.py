"""A hand-over, the text of `hand_over_user()`: whether `acting_as` would take it.

Rules:
- A text that opens is a hand-over. One that does not is taken for one if it has the form of a seal,
  `handover_keys` are configured, and no kind of session is sealed.
- Nothing in it is shown but its time.
"""

from typing import Final

from ...models.check import Check
from ...sessions.handover import Handovers
from ...sessions.sealed import SealedSession
from .alone import bare_checks
from .facts import mend_of, when
from .judgement import Judgement
from .looking import Looking
from .recognition import Recognised
from .sessions import kinds_of

_NAME: Final = "handover"


def explain_handed_over(
    found: Recognised, looking: Looking
) -> tuple[Judgement, list[Check], dict[str, bytes]] | None:
    """The judgement and the checks of a hand-over; None if it is none."""
    config, now = looking.config, looking.clock()
    if found.kind != "cookie_value" or not config.keys_for_handovers:
        return None
    pools = {pool.user_pool_id: pool.iss for pool in config.user_pools}
    opened = Handovers(config.keys_for_handovers, pools).open(found.value.decode("latin-1"))
    if opened is None:
        has_form = [check.name for check in bare_checks(found.value) if check.outcome == "ok"]
        is_sealed = any(isinstance(kind, SealedSession) for kind in kinds_of(config))
        if is_sealed or not config.handover_keys or has_form != ["jwe"]:
            return None
        wanted = "sealed for this user pool, with one of these keys"
        return _refused("invalid_handover", "does not open", wanted)
    until = f"until {when(opened.expires_at, now)}"
    if now >= opened.expires_at:
        return _refused("handover_expired", until, "a time to come")
    return Judgement("signed_in", read_as=_NAME), [Check(_NAME, "ok", f"it opens, {until}")], {}


def _refused(
    reason: str, found: str, wanted: str
) -> tuple[Judgement, list[Check], dict[str, bytes]]:
    check = Check(_NAME, "wrong", found, wanted, mend_of(reason))
    return Judgement("refused", reason, 401, read_as=_NAME), [check], {}
