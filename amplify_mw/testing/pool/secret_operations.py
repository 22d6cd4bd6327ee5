"""The operations on the secrets of the local user pool's app client.

Rules:
- They are an administrator's: at Cognito they need credentials of AWS. Here none are checked.
- A generated secret is told once, by the operation that makes it; one of the caller's never.
- A guess, since the model lists no error for it: the last secret, a public client and a replica are
  an `InvalidParameterException`. The third secret is a `LimitExceededException`.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from .client_secrets import ClientSecret, LastOne, TooMany
from .ledger import Ledger
from .refusals import Members, Operation, Refused, refuse_parameter, text

_SECRET: Final = re.compile(r"[\w+]{24,64}", re.ASCII)


class SecretOperations:
    """The operations, by name. `region`: of a replica, or None."""

    def __init__(self, ledger: Ledger, region: str | None) -> None:
        self._ledger = ledger
        self._region = region
        self.by_name: Mapping[str, Operation] = {
            "AddUserPoolClientSecret": self._add,
            "ListUserPoolClientSecrets": self._list,
            "DeleteUserPoolClientSecret": self._delete,
        }

    def _add(self, body: Members) -> Members:
        self._check(body, changes=True)
        value = body.get("ClientSecret")
        if value is not None and not _SECRET.fullmatch(text(body, "ClientSecret")):
            refuse_parameter("ClientSecret has to be 24 to 64 letters, digits, + or _")
        try:
            added = self._ledger.client_secrets.add(value)
        except TooMany as error:
            raise Refused("LimitExceededException", str(error)) from error
        except (LookupError, ValueError) as error:
            refuse_parameter(str(error))
        shown = {} if value is not None else {"ClientSecretValue": added.value}
        return {"ClientSecretDescriptor": {**_described(added), **shown}}

    def _list(self, body: Members) -> Members:
        self._check(body, changes=False)
        return {"ClientSecrets": [*map(_described, self._ledger.client_secrets.active)]}

    def _delete(self, body: Members) -> Members:
        self._check(body, changes=True)
        try:
            self._ledger.client_secrets.delete(text(body, "ClientSecretId"))
        except LastOne as error:
            refuse_parameter(str(error))
        except LookupError as error:
            raise Refused("ResourceNotFoundException", str(error)) from error
        return {}

    def _check(self, body: Members, *, changes: bool) -> None:
        pool_id, client_id = text(body, "UserPoolId"), text(body, "ClientId")
        if pool_id != self._ledger.user_pool_id:
            raise Refused("ResourceNotFoundException", f"User pool {pool_id} does not exist.")
        if client_id != self._ledger.client_id:
            message = f"User pool client {client_id} does not exist."
            raise Refused("ResourceNotFoundException", message)
        if changes and self._region is not None:
            refuse_parameter("The secrets are changed in the pool's own Region.")


def _described(secret: ClientSecret) -> dict[str, Any]:
    return {"ClientSecretId": secret.id, "ClientSecretCreateDate": secret.created_at}
