"""Sign-in with a password: `InitiateAuth`, one call of the Amazon Cognito user pool API.

https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_InitiateAuth.html
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx2


class SignInRefused(Exception):
    """The user pool lets nobody in with these. `name` is Cognito's for the reason."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class CognitoClient:
    """An app client of the user pool at `url`."""

    url: str
    client_id: str

    def sign_in(self, username: str, password: str) -> Mapping[str, Any]:
        """The user's three tokens (Cognito's `AuthenticationResult`).

        Raises `SignInRefused`, or `httpx2.HTTPError` if the pool is down.
        """
        response = httpx2.post(
            self.url,
            headers={
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth",
            },
            content=json.dumps(
                {
                    "ClientId": self.client_id,
                    "AuthFlow": "USER_PASSWORD_AUTH",
                    "AuthParameters": {"USERNAME": username, "PASSWORD": password},
                }
            ),
            trust_env=False,  # a proxy from the environment has no business with a password
        )
        if response.status_code == HTTPStatus.BAD_REQUEST:
            raise SignInRefused(response.json()["__type"])
        tokens: Mapping[str, Any] = response.raise_for_status().json()["AuthenticationResult"]
        return tokens
