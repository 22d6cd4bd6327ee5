"""The `amplify_outputs.json` of a local user pool, for `AmplifyConfig.from_outputs` and Amplify JS.

Rules:
- It has the form of Amplify's own file (version 1). Amplify has no place in it for an endpoint,
  so the pool's addresses are in a marked section below `custom`, which Amplify passes by.
- A file without that mark was written by somebody else and is never overwritten.
- There is no secret in it.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from ...config.files import LOCAL_SECTION
from .authorization import SCOPES
from .hosted import SHORTEST_PASSWORD
from .state import write_whole

WRITER: Final = "amplify-mw pool"


class NotOurs(Exception):
    """The file was written by somebody else: `str()` says so, and what to do."""


def outputs(
    *,
    url: str,
    issuer: str | None,
    regions: Mapping[str, str],
    user_pool_id: str,
    client_id: str,
    pages: Iterable[str],
    tls: bool,
) -> dict[str, Any]:
    """The content of the file. `pages`: the front ends' origins. `tls`: the pool speaks https, too.

    `issuer`: None for Amazon's, which need not be told. `regions`: the replicas' addresses.

    Amplify JS says https:// to a domain, so the sign-in pages are in its part only with `tls`.
    """
    auth: dict[str, Any] = {
        "aws_region": user_pool_id.partition("_")[0],
        "user_pool_id": user_pool_id,
        "user_pool_client_id": client_id,
        "username_attributes": ["username"],
        "mfa_configuration": "NONE",
        "password_policy": {"min_length": SHORTEST_PASSWORD},
    }
    homes = [f"{origin}/" for origin in pages]
    if tls and homes:
        auth["oauth"] = {
            "domain": url.partition("://")[2],
            "scopes": list(SCOPES),
            "redirect_sign_in_uri": homes,
            "redirect_sign_out_uri": homes,
            "response_type": "code",
            "identity_providers": [],
        }
    local = _local(url, issuer, regions)
    return {"version": "1.4", "auth": auth, "custom": {LOCAL_SECTION: local}}


def _local(url: str, issuer: str | None, regions: Mapping[str, str]) -> dict[str, Any]:
    return {
        "written_by": WRITER,
        "note": "a local user pool for development; addresses of this machine alone are accepted",
        "endpoint_url": url,
        **({} if issuer is None else {"issuer": issuer}),
        "domain": url,
        **({"regions": dict(regions)} if regions else {}),
    }


def check_ours(path: "str | os.PathLike[str]") -> None:
    """Raise `NotOurs` if the file is there and was written by somebody else."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise NotOurs(f"{path} cannot be read: {error.strerror}") from error
    try:
        found = json.loads(content)["custom"][LOCAL_SECTION]["written_by"]
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if found != WRITER:
        raise NotOurs(
            f"{path} is there and was not written by {WRITER}, so it stays as it is. "
            "Write to another file with --outputs FILE, or move this one away"
        )


def write_outputs(path: "str | os.PathLike[str]", content: dict[str, Any]) -> None:
    """Write the file. Raises `NotOurs` and `OSError`."""
    check_ours(path)
    write_whole(Path(path), f"{json.dumps(content, indent=2)}\n".encode())
