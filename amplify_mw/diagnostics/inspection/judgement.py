"""`Judgement`: the answer to a request with a credential, in one word."""

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from ...sessions.verdicts import Verdict

Word: TypeAlias = Literal["signed_in", "refused", "unknown"]
As: TypeAlias = Literal["cookie", "header", "token", "request", "handover", "nothing"]
Fate: TypeAlias = Literal["kept", "cleared", "none"]


class Judgement(NamedTuple):
    """`reason`: empty for a signed-in user. `status`: of the answer; None if there is none.

    `cookie`: the fate of the session's cookie. `why`: why it cannot be told. `verdict`: the
    library's. `notices`: those of its log, for an operator.
    """

    word: Word
    reason: str = ""
    status: int | None = None
    cookie: Fate = "none"
    why: str = ""
    read_as: As = "nothing"
    verdict: "Verdict | None" = None
    notices: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Judgement {self.word} {self.reason}>"
