"""A page on this machine where people judge a listening set: blind, by ear, sessions that survive a killed server.

Nothing that leaves the server tells how an edit was made: sides are ``first`` and ``second``, audio has opaque keys.
Only programs and browsers of this machine reach it; to use it from another, forward the port.

    opening   a set's folder, checked before anything is served, and held by one server
    study     what is asked and answered, without HTTP
    wire      what clients send, checked
    guards    who is answered, and the headers that go with every answer
    app       paths
    running   sockets, start and end
"""

from pathlib import Path

from rl_editor.errors import ConfigError
from rl_editor.preferences.planning import Chooser


def serve(folder: Path, *, port: int, open_page: bool = False, choose: Chooser | None = None) -> None:
    """Serve a listening set on the loopback interface until interrupted.

    Args:
        folder: of the set.
        port: to listen at; 0 takes one that is free.
        open_page: in the browser.
        choose: which pair comes next; by chance without one.

    Raises:
        ConfigError: the packages of the extra ``listen`` are missing, or the port is in use.
        DatasetError: the folder holds no set, audio is missing, or another server has the set.
    """
    try:
        from rl_editor.server.running import run
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise ConfigError(
            f"listen: package {error.name!r} is missing, which serves the page; pip install 'rl-editor[listen]'"
        ) from error
    run(folder, port=port, open_page=open_page, choose=choose)
