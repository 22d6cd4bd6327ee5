"""The local user pool's public documents: its key set and its OpenID configuration.

Rules:
- The members are those of Cognito's document, and the true ones of RFC 8414 and RFC 9207.
"""

import json
from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Response

from .authorization import PROMPTS, SCOPES
from .ledger import SELF_SERVICE_SCOPE


def configuration(url: str, issuer: str, jwks_uri: str, *, has_secret: bool, adds_iss: bool) -> Any:
    """The OpenID configuration of a pool whose domain is at `url`."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{url}/oauth2/authorize",
        "token_endpoint": f"{url}/oauth2/token",
        "userinfo_endpoint": f"{url}/oauth2/userInfo",
        "revocation_endpoint": f"{url}/oauth2/revoke",
        "end_session_endpoint": f"{url}/logout",
        "jwks_uri": jwks_uri,
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "scopes_supported": [scope for scope in SCOPES if scope != SELF_SERVICE_SCOPE],
        "subject_types_supported": ["public"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic" if has_secret else "none"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": sorted(PROMPTS),
        "authorization_response_iss_parameter_supported": adds_iss,
    }


def response(members: Mapping[str, Any]) -> Response:
    """A document, cacheable for a day."""
    headers = {"Cache-Control": "public, max-age=86400"}
    return Response(json.dumps(members), 200, headers, content_type="application/json")
