"""Events of AWS Lambda, written by hand after AWS's documents, and a browser that sends them.

A deployment is what stands between an address and a function: how the public path becomes an
event's, and in which of the formats.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

API = "abc123.execute-api.eu-west-1.amazonaws.com"
FUNCTION_URL = "abc123.lambda-url.eu-west-1.on.aws"
BALANCER = "site-1234.eu-west-1.elb.amazonaws.com"
DOMAIN = "app.example.com"

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


@dataclass
class Request:
    method: str
    path: str  # in the public address
    query: str
    headers: dict[str, str]
    cookies: dict[str, str]
    body: str = ""

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    @property
    def all_headers(self) -> dict[str, str]:
        return self.headers | ({"Cookie": self.cookie} if self.cookies else {})

    @property
    def multi_query(self) -> dict[str, list[str]] | None:
        return parse_qs(self.query, keep_blank_values=True) or None


def rest(host: str = API, stage: str = "prod", base: str = "") -> Callable[[Request], Any]:
    """API Gateway, REST (payload 1.0). `base`: of a custom domain, whose address has no stage."""

    def event(request: Request) -> dict[str, Any]:
        path = request.path if base else request.path.removeprefix(f"/{stage}") or "/"
        headers = {"Host": host, "X-Forwarded-Proto": "https"} | request.all_headers
        multi = request.multi_query
        return {
            "resource": "/{proxy+}",
            "path": path,
            "httpMethod": request.method,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": multi and {name: some[-1] for name, some in multi.items()},
            "multiValueQueryStringParameters": multi,
            "pathParameters": {"proxy": path[1:]},
            "stageVariables": None,
            "requestContext": {
                "resourcePath": "/{proxy+}",
                "httpMethod": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "stage": stage,
                "domainName": host,
                "requestId": "1",
                "apiId": "abc123",
                "accountId": "123456789012",
                "identity": {"sourceIp": "192.0.2.1", "userAgent": "test"},
            },
            "body": request.body or None,
            "isBase64Encoded": False,
        }

    return event


def http(host: str = API, stage: str = "prod") -> Callable[[Request], Any]:
    """API Gateway, HTTP (payload 2.0); with `$default`, a function's own URL is the same."""

    def event(request: Request) -> dict[str, Any]:
        headers = {"host": host, "x-forwarded-proto": "https"}
        headers |= {name.lower(): value for name, value in request.headers.items()}
        return {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": request.path,
            "rawQueryString": request.query,
            "cookies": [f"{name}={value}" for name, value in request.cookies.items()],
            "headers": headers,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "abc123",
                "domainName": host,
                "http": {
                    "method": request.method,
                    "path": request.path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1",
                    "userAgent": "test",
                },
                "requestId": "1",
                "routeKey": "$default",
                "stage": stage,
                "timeEpoch": 1_800_000_000_000,
            },
            "body": request.body,
            "isBase64Encoded": False,
        }

    return event


def balancer(host: str = BALANCER) -> Callable[[Request], Any]:
    """An Application Load Balancer with multi-value headers."""

    def event(request: Request) -> dict[str, Any]:
        headers = {"host": host, "x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1"}
        headers |= {name.lower(): value for name, value in request.all_headers.items()}
        pairs = [pair.partition("=")[::2] for pair in request.query.split("&") if pair]
        query: dict[str, list[str]] = {}
        for name, value in pairs:  # as it was sent: a load balancer decodes nothing
            query.setdefault(name, []).append(value)
        return {
            "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
            "httpMethod": request.method,
            "path": request.path,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "multiValueQueryStringParameters": query,
            "body": request.body,
            "isBase64Encoded": False,
        }

    return event


class Context:
    """What AWS gives a handler beside the event."""

    function_name = "site"
    aws_request_id = "1"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


@dataclass
class Page:
    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: str

    @property
    def location(self) -> str:
        return self.headers["location"]


@dataclass
class LambdaBrowser:
    """Asks a handler for public addresses, and keeps cookies by their paths."""

    handler: Handler
    event: Callable[[Request], Any]
    jar: dict[tuple[str, str], str] = field(default_factory=dict)

    def get(self, url: str, site: str = "same-origin", **more: str) -> Page:
        parts = urlsplit(url)
        headers = {
            "Accept": "text/html",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
            "Sec-Fetch-Site": site,
        }
        if site == "cross-site":  # a redirect or link from there
            sent = {key: v for key, v in self._for(parts.path).items() if "strict" not in key}
        else:
            sent = self._for(parts.path)
        request = Request(more.pop("method", "GET"), parts.path, parts.query, headers | more, sent)
        page = _page(self.handler(self.event(request), Context()))
        for line in page.cookies:
            self._keep(line)
        return page

    def _for(self, path: str) -> dict[str, str]:
        return {
            name: value
            for (name, at), value in self.jar.items()
            if at == "/" or path == at or path.startswith(at.rstrip("/") + "/")
        }

    def _keep(self, line: str) -> None:
        pair, *rest = [part.strip() for part in line.split(";")]
        name, _, value = pair.partition("=")
        said = {key.lower(): text for key, _, text in (part.partition("=") for part in rest)}
        self.jar.pop((name, said["path"]), None)
        if said.get("max-age") != "0":
            self.jar[name, said["path"]] = value


def _page(answer: dict[str, Any]) -> Page:
    headers: dict[str, str] = {}
    cookies = list(answer.get("cookies") or ())
    for name, values in _headers(answer):
        if name == "set-cookie":
            cookies += values
        else:
            headers[name] = values[-1]
    body = answer.get("body") or ""
    if answer.get("isBase64Encoded"):
        body = base64.b64decode(body).decode()
    return Page(int(answer["statusCode"]), headers, cookies, body)


def _headers(answer: dict[str, Any]) -> list[tuple[str, list[str]]]:
    single = [(name.lower(), [str(value)]) for name, value in (answer.get("headers") or {}).items()]
    multi = [
        (name.lower(), values) for name, values in (answer.get("multiValueHeaders") or {}).items()
    ]
    named = {name for name, _ in multi}  # where a name is in both, the several values count
    return multi + [(name, values) for name, values in single if name not in named]
