"""The HTTP client: one, kept, synchronous, made when first needed; only flights use it.

Rules:
- Only the configured addresses are asked: no redirects, no proxies or credentials from the
  environment.
- An answer has a deadline in all and a size it may not pass; anything else is `Unreachable`.
- After `fork()` the child makes a client of its own and leaves the parent's alone.
"""

import threading
import time
from typing import TYPE_CHECKING

from .effects import Request, Response, Unreachable

if TYPE_CHECKING:
    import httpx2


class HttpClient:
    """Sends requests; each must be answered within `timeout` seconds."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._client: httpx2.Client | None = None
        self._parents: list[httpx2.Client | None] = []
        self._lock = threading.Lock()

    def send(self, request: Request) -> Response:
        """The answer. Raises `Unreachable`, which says what happened and not what was sent."""
        import httpx2  # 70 ms: only those who fetch pay

        try:
            return self._exchange(self._open(), request)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise Unreachable(type(error).__name__) from error

    def _exchange(self, client: "httpx2.Client", request: Request) -> Response:
        deadline = time.monotonic() + self._timeout
        content = bytearray()
        with client.stream(
            request.method, request.url, headers=dict(request.headers), content=request.content
        ) as response:
            for chunk in response.iter_raw():
                content += chunk
                if len(content) > request.max_bytes:
                    raise Unreachable(f"its answer is larger than {request.max_bytes} bytes")
                if time.monotonic() > deadline:
                    raise Unreachable("its answer took too long")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Response(response.status_code, headers, bytes(content))

    def _open(self) -> "httpx2.Client":
        import httpx2

        with self._lock:
            if self._client is None:
                self._client = httpx2.Client(
                    trust_env=False,
                    follow_redirects=False,
                    timeout=self._timeout,
                    headers={"user-agent": "amplify-mw", "accept-encoding": "identity"},
                )
            return self._client

    def after_fork(self) -> None:
        """In a child: leave the parent's client be; closing it would speak on its sockets."""
        self._parents.append(self._client)
        self._client, self._lock = None, threading.Lock()

    def close(self) -> None:
        """Close the client; the next request makes a new one."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()
