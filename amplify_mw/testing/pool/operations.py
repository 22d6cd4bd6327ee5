"""The operations of the Amazon Cognito user pool API, as the local user pool carries them out.

Rules:
- An operation takes the request's JSON object and returns the answer's, or raises `Refused`, which
  becomes an error of Cognito's shape.
- Messages are Cognito's own, as far as they are known.
- A replica refuses to create or to change users (developer guide: multi-Region replication).
- A client with a secret has to show it: as `ClientSecret`, or in InitiateAuth as `SECRET_HASH`.
- Nothing here locks; `LocalUserPool` does.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from .ledger import SELF_SERVICE_SCOPE, Ledger, LocalUser, SignIn, scoped
from .refusals import Members, Operation, Refused, json_object, refuse_parameter, text
from .secret_operations import SecretOperations
from .server import AMZ_JSON
from .session_operations import SessionOperations, linked
from .signing import BadToken
from .srp import BadProof, Challenges, padded

_WRONG: Final = "Incorrect username or password."
TARGET_PREFIX: Final = "AWSCognitoIdentityProviderService."
# The unsigned operations of the API that create or change a user.
CHANGES_USERS: Final = frozenset(
    {
        *("AssociateSoftwareToken", "ChangePassword", "CompleteWebAuthnRegistration"),
        *("ConfirmDevice", "ConfirmForgotPassword", "ConfirmSignUp", "DeleteUser"),
        *("DeleteUserAttributes", "DeleteWebAuthnCredential", "ForgetDevice", "ForgotPassword"),
        *("GetUserAttributeVerificationCode", "ResendConfirmationCode", "SetUserMFAPreference"),
        *("SetUserSettings", "SignUp", "StartWebAuthnRegistration", "UpdateAuthEventFeedback"),
        *("UpdateDeviceStatus", "UpdateUserAttributes", "VerifySoftwareToken"),
        "VerifyUserAttribute",
    }
)
# Errors that the API's model does not list for an operation, and those that it lists instead. (Of a
# refresh, PasswordResetRequiredException and UserNotConfirmedException are in InitiateAuth's list
# alone; Amplify JS knows them of GetTokensFromRefreshToken, too, and so they stay.)
_SAID: Final = {
    ("RevokeToken", "NotAuthorizedException"): "UnauthorizedException",
    ("RevokeToken", "ResourceNotFoundException"): "UnauthorizedException",
    ("GlobalSignOut", "UserNotFoundException"): "NotAuthorizedException",
    ("InitiateAuth", "RefreshTokenReuseException"): "NotAuthorizedException",
}
NOT_ENABLED: Final = "Operation is not enabled in this Region."


class Operations:
    """The operations on a ledger.

    `grace`: a refresh makes a new refresh token, and the old one ends so many seconds later. None:
    the old one stays. `region`: of a replica.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        grace: float | None,
        region: str | None = None,
    ) -> None:
        self._ledger = ledger
        self._region = region
        self._secrets = ledger.client_secrets
        self._grace = grace
        self._challenges = Challenges()
        self.sessions: SessionOperations = SessionOperations(ledger, self._holder_of)
        self._by_name: Mapping[str, Operation] = {
            "InitiateAuth": self._initiate_auth,
            "RespondToAuthChallenge": self._respond_to_auth_challenge,
            "GetTokensFromRefreshToken": self._get_tokens_from_refresh_token,
            "GetUser": self._get_user,
            "RevokeToken": self._revoke_token,
            "GlobalSignOut": self._global_sign_out,
            **SecretOperations(ledger, region).by_name,
            **self.sessions.by_name,
        }
        self._flows: Mapping[str, Operation] = {
            "USER_PASSWORD_AUTH": self._password_flow,
            "USER_SRP_AUTH": self._srp_flow,
            "REFRESH_TOKEN_AUTH": self._refresh_flow,
            "REFRESH_TOKEN": self._refresh_flow,
        }

    @property
    def names(self) -> frozenset[str]:
        """The operations there are."""
        return frozenset(self._by_name) | self._refused

    @property
    def _refused(self) -> frozenset[str]:
        return frozenset() if self._region is None else CHANGES_USERS

    def run(self, target: str, mimetype: str, content: bytes) -> Members:
        """Carry out the operation of `target` (`X-Amz-Target`). Raises `Refused`."""
        name = target.removeprefix(TARGET_PREFIX)
        is_known = target.startswith(TARGET_PREFIX) and name in self.names
        if not is_known or mimetype != AMZ_JSON:
            raise Refused("UnknownOperationException")
        if name in self._refused:
            raise Refused("OperationNotEnabledException", NOT_ENABLED)
        try:
            return self._by_name[name](json_object(content))
        except Refused as refused:
            said = refused.error
            raise Refused(_SAID.get((name, said.code), said.code), said.message) from refused

    def refresh(self, token: str) -> Members:
        """An `AuthenticationResult` for a refresh token; rotates. Raises `Refused`."""
        sign_in = self._refreshable(token)
        self._ledger.tracking.see(sign_in.origin_jti)
        if self._grace is None:
            return self._result(sign_in)
        return self._result(sign_in, RefreshToken=self._ledger.rotate(token, self._grace))

    def authenticate(self, username: str, password: str) -> LocalUser:
        """The user of a name and password. Raises `Refused`."""
        user = self._ledger.users.get(username)
        # An unknown user and a wrong password get the same answer (PreventUserExistenceErrors), and
        # so does a user of another identity provider: there is no password here.
        if (
            user is None
            or user.identity_provider is not None
            or not self._ledger.is_password(user, password)
        ):
            raise Refused("NotAuthorizedException", _WRONG)
        check_state(user)
        return user

    def user_info(self, access_token: str) -> Members:
        """The attributes readable with an access token's scope. Raises `Refused`."""
        missing = Refused("NotAuthorizedException", "Access token does not contain openid scope")
        user, claims = self._bearer(access_token, "openid", missing)
        readable = scoped(user.attributes, str(claims["scope"]))
        return {"sub": user.sub, **readable, "username": user.username}

    def revoke(self, token: str, *, linked: bool = False) -> None:
        """End the sign-in of a refresh token. `linked`: see `Ledger.revoke`. Raises `Refused`."""
        if token.count(".") == 2:  # a JWT: only refresh tokens can be revoked
            raise Refused("UnsupportedTokenTypeException", "Unsupported token type")
        refresh_token = self._ledger.refresh_token(token)
        if refresh_token:  # an unknown token is no error (RFC 7009 2.2)
            self._ledger.revoke(refresh_token.sign_in.origin_jti, linked=linked)

    def _initiate_auth(self, body: Members) -> Members:
        self._check_client_id(body)
        name = text(body, "AuthFlow")
        flow = self._flows.get(name)
        # While it rotates, Cognito has no refresh in InitiateAuth (API: RefreshTokenRotationType).
        if flow is None or (self._grace is not None and name.startswith("REFRESH_TOKEN")):
            refuse_parameter(f"{name} flow not enabled for this client")
        parameters = body.get("AuthParameters")
        if not isinstance(parameters, dict):
            refuse_parameter("Missing required parameter AuthParameters")
        return flow(parameters)

    def _password_flow(self, parameters: Members) -> Members:
        username, password = text(parameters, "USERNAME"), text(parameters, "PASSWORD")
        self._check_secret_hash(parameters, username)
        return self._signed_in(self.authenticate(username, password))

    def _srp_flow(self, parameters: Members) -> Members:
        username, client_public = text(parameters, "USERNAME"), text(parameters, "SRP_A")
        self._check_secret_hash(parameters, username)
        user = self._ledger.users.get(username)
        is_ours = user is not None and user.identity_provider is None
        name = self._ledger.name_of(username)
        verifier = (
            self._ledger.verifier(user) if user and is_ours else self._challenges.disguise(name)
        )
        now = self._ledger.clock()
        try:
            challenge = self._challenges.issue(username, verifier, client_public, now)
        except BadProof:
            refuse_parameter("SRP_A is not correct")
        return {
            "ChallengeName": "PASSWORD_VERIFIER",
            "ChallengeParameters": {
                "USERNAME": username,
                "USER_ID_FOR_SRP": username,
                "SALT": padded(verifier.salt).hex(),
                "SRP_B": padded(challenge.public).hex(),
                "SECRET_BLOCK": challenge.block,
            },
        }

    def _respond_to_auth_challenge(self, body: Members) -> Members:
        self._check_client_id(body)
        name = text(body, "ChallengeName")
        if name != "PASSWORD_VERIFIER":
            refuse_parameter(f"{name} is no challenge of this client")
        responses = body.get("ChallengeResponses")
        if not isinstance(responses, dict):
            refuse_parameter("Missing required parameter ChallengeResponses")
        return self._signed_in(self._prover(responses))

    def _prover(self, responses: Members) -> LocalUser:
        """The user who proves a password by the answer to a challenge."""
        username, block, timestamp, signature = (
            text(responses, name)
            for name in (
                *("USERNAME", "PASSWORD_CLAIM_SECRET_BLOCK"),
                *("TIMESTAMP", "PASSWORD_CLAIM_SIGNATURE"),
            )
        )
        self._check_secret_hash(responses, username)
        user = self._ledger.users.get(username)
        try:
            challenge = self._challenges.take(block, self._ledger.clock())
            challenge.check(self._ledger.name_of(challenge.username), timestamp, signature)
        except BadProof:
            raise Refused("NotAuthorizedException", _WRONG) from None
        # The verifier may have been another then: the password has changed meanwhile.
        if user is None or (challenge.username, challenge.verifier) != (username, user.verifier):
            raise Refused("NotAuthorizedException", _WRONG)
        check_state(user)
        return user

    def _signed_in(self, user: LocalUser) -> Members:
        """The answer to a finished sign-in."""
        sign_in = self._ledger.begin(user, SELF_SERVICE_SCOPE, int(self._ledger.clock()))
        self._ledger.begin_session(sign_in)
        result = self._result(sign_in, RefreshToken=self._ledger.new_refresh_token(sign_in))
        return {"ChallengeParameters": {}, "AuthenticationResult": result}

    def _refresh_flow(self, parameters: Members) -> Members:
        token = text(parameters, "REFRESH_TOKEN")
        known = self._ledger.refresh_token(token)
        if known:
            self._check_secret_hash(parameters, known.sign_in.username)
        sign_in = self._refreshable(token)
        self._ledger.tracking.see(sign_in.origin_jti)
        result = self._result(sign_in)
        return {"ChallengeParameters": {}, "AuthenticationResult": result}

    def _get_tokens_from_refresh_token(self, body: Members) -> Members:
        self._check_client(body)
        return {"AuthenticationResult": self.refresh(text(body, "RefreshToken"))}

    def _get_user(self, body: Members) -> Members:
        user, _ = self._holder_of(body)
        attributes = {"sub": user.sub, **user.attributes}
        members = [{"Name": name, "Value": value} for name, value in attributes.items()]
        return {"Username": user.username, "UserAttributes": members}

    def _revoke_token(self, body: Members) -> Members:
        self._check_client(body)
        self.revoke(text(body, "Token"), linked=linked(body))
        return {}

    def _global_sign_out(self, body: Members) -> Members:
        user, _ = self._holder_of(body)
        self._ledger.revoke_all(user)
        return {}

    def _check_client(self, body: Members) -> None:
        self._check_client_id(body)
        self._check_secret(body, "ClientSecret", self._secrets.is_one)

    def _check_secret_hash(self, parameters: Members, username: str) -> None:
        is_right = partial(self._secrets.is_hash, username=username)
        self._check_secret(parameters, "SECRET_HASH", is_right)

    def _check_secret(self, members: Members, name: str, is_right: Callable[[str], bool]) -> None:
        if not self._secrets.active:
            return
        client_id = self._ledger.client_id
        if name not in members:
            message = f"Client {client_id} is configured for secret but secret was not received"
            raise Refused("NotAuthorizedException", message)
        if not is_right(text(members, name)):
            message = f"Unable to verify secret hash for client {client_id}"
            raise Refused("NotAuthorizedException", message)

    def _check_client_id(self, body: Members) -> None:
        client_id = text(body, "ClientId")
        if client_id in self._ledger.machines.secrets:
            message = f"Client {client_id} is configured for secret but secret was not received"
            raise Refused("NotAuthorizedException", message)
        if client_id != self._ledger.client_id:
            message = f"User pool client {client_id} does not exist."
            raise Refused("ResourceNotFoundException", message)

    def _result(self, sign_in: SignIn, **more: str) -> Members:
        """An `AuthenticationResult` with fresh tokens."""
        id_token, access_token = self._ledger.issue(sign_in, self._region)
        tokens = {"AccessToken": access_token, "IdToken": id_token, **more}
        return {**tokens, "ExpiresIn": self._ledger.token_lifetime, "TokenType": "Bearer"}

    def _refreshable(self, token: str) -> SignIn:
        """The sign-in of a valid refresh token."""
        refresh_token = self._ledger.refresh_token(token)
        if refresh_token is None:
            raise Refused("NotAuthorizedException", "Invalid Refresh Token")
        sign_in = refresh_token.sign_in
        if self._ledger.is_revoked(sign_in.origin_jti):
            raise Refused("NotAuthorizedException", "Refresh Token has been revoked")
        if self._ledger.clock() >= refresh_token.ends_at:
            message = "Refresh token has been invalidated by rotation"
            raise Refused("RefreshTokenReuseException", message)
        check_state(self._existing(sign_in.username, sign_in.sub))
        return sign_in

    def _holder_of(self, body: Members) -> tuple[LocalUser, str]:
        """The user and the `origin_jti` of a valid access token with the self-service scope."""
        message = "Access Token does not have required scopes"
        missing = Refused("NotAuthorizedException", message)
        user, claims = self._bearer(text(body, "AccessToken"), SELF_SERVICE_SCOPE, missing)
        return user, str(claims.get("origin_jti"))

    def _bearer(
        self, access_token: str, needed: str, missing: Refused
    ) -> tuple[LocalUser, Members]:
        """The user and the claims of a good access token with the `needed` scope."""
        claims = self._access_claims(access_token)
        if not claims["exp"] > self._ledger.clock():
            raise Refused("NotAuthorizedException", "Access Token has expired")
        if self._ledger.is_revoked(str(claims.get("origin_jti"))):
            raise Refused("NotAuthorizedException", "Access Token has been revoked")
        if needed not in str(claims.get("scope")).split():
            raise missing
        user = self._existing(str(claims.get("username")), claims.get("sub"))
        check_state(user)
        return user, claims

    def _access_claims(self, token: str) -> Members:
        """The claims of an access token of this pool, expired or not."""
        try:
            claims = self._ledger.keys.read(token)
        except BadToken:
            claims = {}
        is_ours = claims.get("iss") in self._ledger.issuers.accepted
        is_ours = is_ours and claims.get("token_use") == "access"
        if not is_ours or not isinstance(claims.get("exp"), int | float):
            raise Refused("NotAuthorizedException", "Invalid Access Token")
        return claims

    def _existing(self, username: str, sub: object) -> LocalUser:
        user = self._ledger.users.get(username)
        if user is None or user.sub != sub:
            raise Refused("UserNotFoundException", "User does not exist.")
        return user


def check_state(user: LocalUser) -> None:
    """Refuse a disabled or unconfirmed user, and one in need of a new password."""
    if not user.enabled:
        raise Refused("NotAuthorizedException", "User is disabled.")
    if user.status == "UNCONFIRMED":
        raise Refused("UserNotConfirmedException", "User is not confirmed.")
    if user.status == "RESET_REQUIRED":
        raise Refused("PasswordResetRequiredException", "Password reset required for the user")
