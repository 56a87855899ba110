"""Who is answered, and the headers that go with every answer.

A page of another site cannot reach a server on this machine through the visitor's browser: its requests carry another
``Origin`` or ``Sec-Fetch-Site``, and a name that was made to point here (DNS rebinding) another ``Host``. Of a header
that comes twice every value has to be ours. Any port is taken in ``Host``, since one forwarded over SSH has the other
machine's.
"""

import re

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OURS = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE | re.ASCII)
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""With every answer, unless it brings its own."""


class Guards:
    """Lets through what this machine's own page or programs ask for."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application do so."""
        if scope["type"] != "http":
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = _refusal(Request(scope))
        await (refused or self.app)(scope, receive, send_with_headers)


def _refusal(request: Request) -> PlainTextResponse | None:
    headers = request.headers
    hosts = headers.getlist("host")
    if len(hosts) != 1 or not _OURS.fullmatch(hosts[0]):
        return PlainTextResponse("this server answers to localhost, 127.0.0.1 and [::1] only", 421)
    foreign = any(origin.lower() != f"http://{hosts[0]}".lower() for origin in headers.getlist("origin"))
    foreign |= any(site not in ("same-origin", "none") for site in headers.getlist("sec-fetch-site"))
    if foreign and (request.method == "POST" or request.url.path != "/"):
        return PlainTextResponse("requests of other sites are refused", 403)
    if request.method == "POST" and not all(map(_is_json, headers.getlist("content-type") or [""])):
        return PlainTextResponse("Content-Type application/json is needed", 415)
    return None


def _is_json(content_type: str) -> bool:
    return content_type.split(";")[0].strip().lower() == "application/json"
