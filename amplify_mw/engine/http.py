"""The HTTP client: synchronous, made on first use, kept. Only flights use it.

Rules:
- Only configured addresses are asked: no redirects, no credentials from the environment, no
  cookies. So it is httpcore, the transport under httpx, which has none of them.
- Requests to other machines go through a proxy only if the configuration says so; the
  environment's proxy needs `proxy="environment"`. A proxy's password is never shown.
- An exchange has one deadline (`network.py`) for all its waits: sending byte after byte, of a body
  or of headers, gains a server no time.
- An answer has a maximum size. Every failure is `Unreachable`, with the cause and, if known, the
  remedy.
- After `fork()` the child makes connections of its own and leaves the parent's alone.
"""

import os
import re
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import urlsplit

from ..effects import Request, Response, Unreachable
from ..errors import ConfigurationError
from ..web.origins import is_loopback
from ..web.proxy import Proxy, parse_proxy

if TYPE_CHECKING:
    import ssl

    import httpcore2

    from .network import Resolve

_KEEP_ALIVE: Final = 5.0  # seconds that an idle connection is kept
_HEADERS: Final = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "amplify-mw"}
ENVIRONMENT: Final = "environment"
Pools: TypeAlias = "dict[tuple[Proxy | None, bool], httpcore2.ConnectionPool]"


class HttpClient:
    """Sends requests. Each has `timeout` seconds, times its patience.

    `proxy`: an address; or "environment", to read its variables now, like Python's own `urllib`.
    Raises `ConfigurationError` for a malformed one.
    `resolve`: looks up the addresses of a host. Default: `socket.getaddrinfo`.
    """

    def __init__(
        self,
        timeout: float,
        *,
        proxy: str | None = None,
        resolve: "Resolve | None" = None,
    ) -> None:
        self._timeout = timeout
        self._way = _Way(proxy)
        self._resolve = resolve
        self._kit: _Kit | None = None
        self._parents: list[Pools] = []
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._pools: Pools = {}
        self._end = weakref.finalize(self, _close, self._pools)

    def send(self, request: Request) -> Response:
        """The answer. Raises `Unreachable` with the cause, and without the request's content."""
        import httpcore2  # 70 ms, on the first request

        from .network import TlsFailure

        failures = (
            httpcore2.TimeoutException,
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.ProxyError,
            TlsFailure,
            OSError,
            UnicodeError,  # a malformed host name
        )
        # Failures after the server was reached: a proxy would not help.
        later = (
            httpcore2.ReadTimeout,
            httpcore2.ReadError,
            httpcore2.WriteTimeout,
            httpcore2.WriteError,
            httpcore2.ProtocolError,
        )
        proxy = self._way.to(request.url)
        try:
            pool = self._open(request.url, proxy, self._timeout * request.patience)
            return _exchange(pool, request)
        except failures as error:
            why = _why(error)
            if proxy is not None:
                why += f", through the proxy {proxy}"
            elif not isinstance(error, later):
                name = self._way.unused(request.url)
                why += f"; {name} is set but not used: write proxy='environment'" if name else ""
            raise Unreachable(why) from error

    def proxy_to(self, url: str) -> Proxy | None:
        """The proxy for requests to an address."""
        return self._way.to(url)

    def unused_proxy(self, url: str) -> str:
        """The name of the environment's variable with a proxy for an address, which is not used.

        Empty if there is none, or if it is used.
        """
        return self._way.unused(url)

    def _open(self, url: str, proxy: Proxy | None, seconds: float) -> "httpcore2.ConnectionPool":
        """The connections through `proxy`, with `seconds` for the next exchange of this thread."""
        with_tls = url[:6].lower() == "https:" or (proxy is not None and proxy.scheme == "https")
        kit = self._kit
        if kit is None:
            made = _Kit(self._resolve)
            with self._lock:
                kit = self._kit = self._kit or made
        if with_tls:
            kit.load_certificates()  # while no lock is held: it reads files
        kit.network.deadline.at = time.monotonic() + seconds
        with self._lock:
            pool = self._pools.get((proxy, with_tls))
            if pool is None:
                pool = self._pools[proxy, with_tls] = kit.pool(proxy)
            return pool

    def after_fork(self) -> None:
        """In a child: leave the parent's connections alone; closing them would need its locks."""
        self._parents.append(self._pools)
        self._end.detach()
        self._renew()

    def retire(self) -> Callable[[], object]:
        """Let the next request open new connections. Returns a function to close the old ones."""
        with self._lock:
            end = self._end
            self._pools = {}
            self._end = weakref.finalize(self, _close, self._pools)
        return end

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self.retire()()


def _close(pools: Pools) -> None:
    for pool in pools.values():
        pool.close()


class _Kit:
    """The parts shared by all connections of a client.

    The certificates are loaded with the first https address.
    """

    def __init__(self, resolve: "Resolve | None") -> None:
        from .network import Deadline, Network

        self.network = Network(Deadline(), resolve)
        self._context: ssl.SSLContext | None = None

    def load_certificates(self) -> None:
        """Load them, unless that is done. Raises `OSError`."""
        if self._context is None:
            self._context = _tls_context()

    def pool(self, proxy: Proxy | None) -> "httpcore2.ConnectionPool":
        """A pool of connections, through a proxy or none; nothing is connected yet."""
        import httpcore2

        options: dict[str, Any] = {
            "ssl_context": self._context,
            "keepalive_expiry": _KEEP_ALIVE,
            "max_connections": None,
            "network_backend": self.network,
        }
        if proxy is None:
            return httpcore2.ConnectionPool(**options)
        url = httpcore2.URL(scheme=proxy.scheme, host=proxy.host, port=proxy.port, target="/")
        return httpcore2.HTTPProxy(
            url,
            proxy_auth=proxy.credentials,
            proxy_ssl_context=self._context if proxy.scheme == "https" else None,
            **options,
        )


class _Way:
    """The choice of a proxy for an address. Addresses on this machine have none."""

    def __init__(self, proxy: str | None) -> None:
        self._by_environment = proxy == ENVIRONMENT
        self._is_unsaid = proxy is None
        self._proxies: dict[str, Proxy] = {}
        for scheme in ("https", "http"):
            if self._by_environment:
                name, value = _variable(scheme)
                if value:
                    self._proxies[scheme] = _parse(name, value)
            elif proxy is not None:
                self._proxies[scheme] = parse_proxy(proxy)

    def to(self, url: str) -> Proxy | None:
        """The proxy for an address."""
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme)
        if proxy is None or is_loopback(parts.hostname or ""):
            return None
        return None if self._by_environment and _is_excepted(url) else proxy

    def unused(self, url: str) -> str:
        """The variable of the environment's proxy for an address, if none is configured; or ""."""
        parts = urlsplit(url)
        if not self._is_unsaid or is_loopback(parts.hostname or ""):
            return ""
        name, value = _variable(parts.scheme)
        is_ours = (
            name in os.environ or name.lower() in os.environ
        )  # or the system's settings say so
        if not value or not is_ours or _is_excepted(url):
            return ""
        return name


def _variable(scheme: str) -> tuple[str, str | None]:
    """The variable of the environment's proxy for a scheme, and its value."""
    from urllib.request import getproxies  # 10 ms: only with a proxy

    proxies = getproxies()
    for kind in (scheme, "all"):
        if proxies.get(kind):
            return f"{kind.upper()}_PROXY", proxies[kind]
    return "", None


def _parse(name: str, value: str) -> Proxy:
    try:
        return parse_proxy(value if "://" in value else f"http://{value}")
    except ConfigurationError as error:
        raise ConfigurationError(f"proxy: 'environment' finds {name}: {error}") from None


def _is_excepted(url: str) -> bool:
    """Whether NO_PROXY names the host of an address."""
    from urllib.request import proxy_bypass

    parts = urlsplit(url)
    host = parts.hostname or ""
    return any(proxy_bypass(spelling) for spelling in {host, parts.netloc})


def _tls_context() -> "ssl.SSLContext":
    import httpcore2

    try:
        return httpcore2.default_ssl_context()
    except OSError as error:  # about files named by the operator
        name = next(
            (name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), ""
        )
        raise OSError(error.errno, f"{name or 'the certificates'} cannot be used") from error


def _why(error: Exception) -> str:
    """The cause of a failure, without the request's content and the answer's."""
    import httpcore2

    from .network import TlsFailure

    if isinstance(error, TlsFailure):
        return str(error)
    if isinstance(error, httpcore2.ProxyError):
        status = re.match(r"[0-9]{3}", str(error))
        code = status[0] if status else "none"
        wants = "; it wants another user and password" if code == "407" else ""
        return f"HTTP status {code}{wants}"
    cause = next(iter(error.args), None) if isinstance(error, httpcore2.NetworkError) else error
    said = cause.strerror if isinstance(cause, OSError) else None
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _exchange(pool: "httpcore2.ConnectionPool", request: Request) -> Response:
    content = bytearray()
    with pool.stream(
        request.method,
        request.url,
        headers=list({**_HEADERS, **request.headers}.items()),
        content=request.content or None,
    ) as response:
        for chunk in response.iter_stream():
            content += chunk
            if len(content) > request.max_bytes:
                raise Unreachable(f"its answer is larger than {request.max_bytes} bytes")
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers
        }
        return Response(response.status, headers, bytes(content))
