#!/usr/bin/env bash
# fastapi-cognito's guarded routes are open to all, says the app's own OpenAPI document.
#
# Version    PyPI fastapi-cognito 2.10.0, FastAPI 0.165.0; FastAPI's own HTTPBearer to compare with.
# Behaviour  CognitoAuth.auth_required is a plain dependency that reads the request. The document has
#            no security scheme, no `security` on the guarded route and no 401 or 403; and the 401
#            itself has no WWW-Authenticate.
# Expected   As with FastAPI's own classes: a scheme, a lock on the route, and the button Authorize in
#            /docs. RFC 9110 15.5.2: a 401 MUST have WWW-Authenticate.
# Hurt       /docs cannot call a guarded route; clients that are generated from the document send no
#            token; tools that look for unguarded routes report all of them; OAuth clients find no
#            challenge to act on.
# Way out    A subclass of HTTPBearer(auto_error=False) whose __call__ awaits auth_required, as the
#            author advises in issue 12.
# Source     markomirosavljev/fastapi-cognito, fastapi_cognito/fastapi_cognito.py (auth_required).
#            Issue 12, "OpenAPI support", closed.
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | fastapi-cognito: schemes none, security none, responses 200; without a token 401, challenge none
#   | HTTPBearer: schemes HTTPBearer, security HTTPBearer, responses 200; without a token 401, challenge Bearer
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  fastapi-cognito==2.10.0 fastapi==0.165.0 httpx2==2.16.2 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from fastapi.testclient import TestClient
from fastapi_cognito import CognitoAuth, CognitoSettings
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    check_expiration: bool = True
    jwt_header_prefix: str = "Bearer"
    jwt_header_name: str = "Authorization"
    userpools: dict = {
        "eu": {
            "region": "eu-west-1",
            "userpool_id": "eu-west-1_Example",
            "app_client_id": "client",
        }
    }


def told(name, guard):
    app = FastAPI()

    @app.get("/guarded")
    def guarded(user=Depends(guard)):
        return user

    document = app.openapi()
    route = document["paths"]["/guarded"]["get"]
    schemes = document.get("components", {}).get("securitySchemes", {})
    security = [scheme for needed in route.get("security", []) for scheme in needed]
    answer = TestClient(app).get("/guarded")
    print(
        f"{name}: schemes {', '.join(schemes) or 'none'}, security {', '.join(security) or 'none'}, "
        f"responses {', '.join(route['responses'])}; without a token {answer.status_code}, "
        f"challenge {answer.headers.get('www-authenticate', 'none')}"
    )


cognito = CognitoAuth(settings=CognitoSettings.from_global_settings(Settings()))
told("fastapi-cognito", cognito.auth_required)
told("HTTPBearer", HTTPBearer())
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
