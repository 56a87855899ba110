"""The paths of the server; docs/listening.md lists them.

Handlers do their work between two awaits at most: reading the body, then one event at a time, forced to disk before
the answer goes out. Tables are made in a thread, of what had been said when they were asked for.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from rl_editor.errors import said
from rl_editor.judgements.sets import Preferences
from rl_editor.server.guards import HEADERS, Guards
from rl_editor.server.opening import MEDIA_TYPES, read_audio
from rl_editor.server.study import Refused, Study
from rl_editor.server.wire import MOST_BODY_BYTES, Answer, Asking, Rate, Sent, Undo, read

PAGE = "index.html"
STATIC = {
    "app.js": "text/javascript",
    "api.js": "text/javascript",
    "compare.js": "text/javascript",
    "deck.js": "text/javascript",
    "moments.js": "text/javascript",
    "player.js": "text/javascript",
    "rate.js": "text/javascript",
    "waves.js": "text/javascript",
    "wavesurfer.esm.js": "text/javascript",
    "style.css": "text/css",
    "icon.svg": "image/svg+xml",
}
"""Every static file that is served, and its type."""

_LOG = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]


def create_app(study: Study) -> ASGIApp:
    """The application; one process, one event loop."""
    routes = [*_page(), *_listening(study), *_ratings(study), *_tables(study)]
    handlers = {Refused: _refused, ClientDisconnect: _gone, OSError: _disk, Exception: _fault}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Guards(app)


def _page() -> Iterator[Route]:
    """The page, and what it loads; all of it is read once."""
    folder = files("rl_editor.server") / "static"
    page = (folder / PAGE).read_text(encoding="utf-8")
    static = {name: (folder / name).read_bytes() for name in STATIC}

    async def index(_: Request) -> Response:
        nonce = secrets.token_urlsafe(16)  # for the styles that wavesurfer.js makes
        policy = f"{HEADERS['Content-Security-Policy']}; style-src 'self' 'nonce-{nonce}'"
        headers = {"Content-Security-Policy": policy}
        return Response(page.replace("{{ nonce }}", nonce), headers=headers, media_type="text/html")

    async def static_file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            return Response("Not Found", 404, media_type="text/plain")
        return Response(static[name], media_type=STATIC[name])

    yield _get("/", index)
    yield _get("/static/{name}", static_file)


def _listening(study: Study) -> Iterator[Route]:
    """The set, its sounds, and pairs to judge: asked for, answered, taken back."""

    async def about(_: Request) -> Response:
        return JSONResponse(study.about())

    async def audio(request: Request) -> Response:
        path = study.audio(request.path_params["key"])
        return Response(read_audio(path), media_type=MEDIA_TYPES[path.suffix.lower()])

    async def ask(request: Request) -> Response:
        return JSONResponse(study.asked((await _sent(request, Asking, study)).listener))

    async def answer(request: Request) -> Response:
        given = await _sent(request, Answer, study)
        study.answer(given)
        return JSONResponse(study.asked(given.listener))

    async def undo(request: Request) -> Response:
        given = await _sent(request, Undo, study)
        study.undo(given.listener, given.presentation_id)
        return JSONResponse(study.asked(given.listener))

    yield _get("/api/set", about)
    yield _get("/audio/{key}", audio)
    yield _post("/api/next", ask)
    yield _post("/api/answer", answer)
    yield _post("/api/undo", undo)


def _ratings(study: Study) -> Iterator[Route]:
    """Whole edits to rate."""

    async def ratings(request: Request) -> Response:
        return JSONResponse(study.ratings((await _sent(request, Asking, study)).listener))

    async def rate(request: Request) -> Response:
        given = await _sent(request, Rate, study)
        study.rate(given)
        return JSONResponse(study.ratings(given.listener))

    yield _post("/api/ratings", ratings)
    yield _post("/api/rate", rate)


def _tables(study: Study) -> Iterator[Route]:
    """All that was said, as CSV; each is made in a thread of its own: those who listen do not wait for pandas."""

    def table(name: str, made: Callable[[Preferences], str]) -> Route:
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}

        async def csv(_: Request) -> Response:
            text = await run_in_threadpool(made, study.preferences())
            return Response(text, headers=headers, media_type="text/csv")

        return _get(f"/{name}", csv)

    yield table("answers.csv", _answers_csv)
    yield table("ratings.csv", _ratings_csv)


def _answers_csv(found: Preferences) -> str:
    from rl_editor.preferences.tables import judgements_table, to_csv  # pandas: half of the time of a start

    return to_csv(judgements_table(found))


def _ratings_csv(found: Preferences) -> str:
    from rl_editor.preferences.tables import ratings_table, to_csv

    return to_csv(ratings_table(found))


def _get(path: str, handler: Handler) -> Route:
    return Route(path, handler, methods=["GET"])


def _post(path: str, handler: Handler) -> Route:
    return Route(path, handler, methods=["POST"])


async def _sent(request: Request, kind: type[Sent], study: Study) -> Sent:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY_BYTES:
            raise Refused(413, f"more than {MOST_BODY_BYTES} bytes; that is no answer")
    return read(kind, bytes(body), known_as=study.known_as)


async def _refused(_: Request, error: Any) -> Response:
    return JSONResponse({"error": str(error)}, error.status)


async def _disk(_: Request, error: Any) -> Response:
    _LOG.error("%s", said(error))
    words = f"the server cannot use its files: {error.strerror or error}".lower()  # without the name of the file
    return JSONResponse({"error": words}, 503)


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # read by nobody: whoever asked has left in the middle of asking


async def _fault(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": "a fault of the server; what it was is in its log"}, 500)
