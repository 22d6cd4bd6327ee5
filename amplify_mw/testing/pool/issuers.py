"""The issuers of a local user pool's tokens.

Rules:
- Without an issuer type, tokens name the pool's own address, or the text given in its place.
- With one they name Amazon's issuers, which are only compared: nothing is fetched from there.
  ORIGINAL has the Region of the server that issues the token, UPDATED always the pool's own.
- A switch ends no token: those of all its issuers so far stay good.
"""

from collections.abc import Callable
from typing import Literal, get_args

from ...config.regions import original_issuer, region_of, updated_issuer

IssuerType = Literal["ORIGINAL", "UPDATED"]


class Issuers:
    """The issuers of one pool. `home` says its own address, `issuer` is a text in its place.

    `regions`: those of its replicas. Raises `ValueError` if `issuer_type` does not fit.
    """

    def __init__(
        self,
        user_pool_id: str,
        home: Callable[[], str],
        issuer: str | None = None,
        issuer_type: IssuerType | None = None,
    ) -> None:
        self._user_pool_id = user_pool_id
        self._home = home
        self._text = issuer
        self._former: set[str] = set()
        self._was_home = False
        self.regions: set[str] = set()
        self.type: IssuerType | None = None
        """None: the tokens name the pool's address, or a text."""
        if issuer_type is not None:
            if issuer is not None:
                raise ValueError(
                    "issuer_type: it names Amazon's issuers; leave out either this or issuer"
                )
            self._check(issuer_type)
            self.type = issuer_type

    @property
    def own_region(self) -> str:
        """The first part of the pool's id."""
        return self._user_pool_id.partition("_")[0]

    def switch(self, issuer_type: IssuerType) -> None:
        """Name Amazon's issuer of a type from now on. Raises `ValueError`."""
        self._check(issuer_type)
        if self.known_type is None:
            raise ValueError(
                "issuer_type: this pool's tokens name its own address, which is the one issuer "
                "that its configurations accept; make it with LocalUserPool(issuer_type='ORIGINAL')"
            )
        self.type, self._text = issuer_type, None

    def _check(self, issuer_type: object) -> None:
        if issuer_type not in get_args(IssuerType):
            raise ValueError(f"issuer_type: write 'ORIGINAL' or 'UPDATED'; got {issuer_type!r}")
        if region_of(self._user_pool_id) is None:
            raise ValueError(
                "issuer_type: Amazon's issuers need a user_pool_id of Amazon's form, such as "
                f"eu-west-1_Local0001; got {self._user_pool_id!r}"
            )

    def name(self, text: str) -> None:
        """Name a text from now on."""
        if self.type is None and self._text is None:
            self._was_home = True  # it has no address before its first start
        else:
            self._former.add(self.of())
        self.type, self._text = None, text

    def restore(self, issuer_type: IssuerType | None, regions: set[str]) -> None:
        """Take what was kept. What this pool was made with comes first."""
        if self.type is None and self._text is None:
            self.type = issuer_type
        self.regions |= regions

    @property
    def known_type(self) -> IssuerType | None:
        """The type, also of a text in the form of Amazon's."""
        if self.type is not None or self._text is None or region_of(self._user_pool_id) is None:
            return self.type
        types: tuple[IssuerType, ...] = get_args(IssuerType)
        return next((one for one in types if self._amazons(one) == self._text), None)

    def of(self, region: str | None = None) -> str:
        """The issuer named by tokens of a Region; None: the pool's own."""
        if self.type is None:
            return self._home() if self._text is None else self._text
        return self._amazons(self.type, region if self.type == "ORIGINAL" else None)

    @property
    def accepted(self) -> frozenset[str]:
        """The issuers of good tokens."""
        found = {self.of(), *self._former}
        if self._was_home:
            found.add(self._home())
        if self.known_type is not None:
            found |= {self._amazons("ORIGINAL"), self._amazons("UPDATED")}
            found |= {self._amazons("ORIGINAL", region) for region in self.regions}
        return frozenset(found)

    def _amazons(self, issuer_type: IssuerType, region: str | None = None) -> str:
        named = original_issuer if issuer_type == "ORIGINAL" else updated_issuer
        return named(self._user_pool_id, region or self.own_region)


def is_region(text: object) -> bool:
    """Whether a text has the form of an AWS Region's name.

    >>> is_region("us-west-2"), is_region("us-west-2_Local0001")
    (True, False)
    """
    return text is not None and region_of(f"{text}_0") == text
