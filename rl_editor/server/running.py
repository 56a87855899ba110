"""Sockets on the loopback interface, start and end of the server."""

import errno
import logging
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from rl_editor.errors import ConfigError
from rl_editor.preferences.planning import Chooser
from rl_editor.server.app import create_app
from rl_editor.server.opening import opened

_BACKLOG = 64


def run(folder: Path, *, port: int, open_page: bool, choose: Chooser | None) -> None:
    """Serve until interrupted; says the address on stderr.

    Raises:
        ConfigError: the port is in use.
        DatasetError: the set cannot be served, or is.
        OSError: the log cannot be written.
    """
    with opened(folder, choose=choose) as study:
        sockets = loopback_sockets(port)
        url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/"
        config = uvicorn.Config(
            create_app(study),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        with _ended_by_interrupt(server), _silent_in_the_end(server):
            print(f"{url} plays {folder}; Ctrl-C ends it", file=sys.stderr, flush=True)
            if open_page:
                webbrowser.open(url)  # the sockets listen already
            server.run(sockets=sockets)


@contextmanager
def _ended_by_interrupt(server: uvicorn.Server) -> Iterator[None]:
    """Let Ctrl-C end the server from now on, not only once uvicorn runs; in a shell's background jobs, too, which are
    started to ignore it. An exception in its place could get lost while modules are imported."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, server.handle_exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _silent_in_the_end(server: uvicorn.Server) -> Iterator[None]:
    """Say nothing of requests that the end cuts off, as of a phone that still loads: that is no fault of the server."""
    log = logging.getLogger("uvicorn.error")

    def before_the_end(_: logging.LogRecord) -> bool:
        return not server.should_exit

    log.addFilter(before_the_end)
    try:
        yield
    finally:
        log.removeFilter(before_the_end)


def loopback_sockets(port: int) -> list[socket.socket]:
    """Listening sockets on 127.0.0.1 and, where this machine has it, ::1, at one port.

    Raises:
        ConfigError: the port is in use, or not ours to take.
    """
    try:
        first = _listening(socket.AF_INET, "127.0.0.1", port)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        said = "is in use" if error.errno == errno.EADDRINUSE else "is not ours to take"
        raise ConfigError(f"port {port}: {said}; name another with --port, 0 takes a free one") from error
    sockets = [first]
    with suppress(OSError):
        sockets.append(_listening(socket.AF_INET6, "::1", first.getsockname()[1]))
    return sockets


def _listening(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    found = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((address, port))
        found.listen(_BACKLOG)
    except OSError:
        found.close()
        raise
    return found
