"""The sockets on which clients and administrators are served; held by the supervisor, shared with its workers."""

from __future__ import annotations

import errno
import socket

from offtarget.errors import InputError

BACKLOG = 2048
"""Connections that may wait until a worker takes them, also while workers are replaced."""


def listen(host: str, port: int, what: str, option: str) -> socket.socket:
    """A listening socket. Raises InputError, a sentence, for an address that cannot be had.

    All workers take connections from this one socket: those that wait in it are lost with no worker, unlike on sockets
    of their own (SO_REUSEPORT), where they die with whoever they were given to.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        number = getattr(error, "errno", None)
        if number == errno.EADDRINUSE:
            said = f"Port {port} on {host} is in use by another program. Give another {option}, or 0 for a free one."
        elif number == errno.EACCES:
            said = f"Port {port} on {host} needs rights that this user does not have. Give a {option} above 1023."
        else:
            reason = getattr(error, "strerror", None) or error
            said = f"{what} cannot be served on {host}:{port} ({reason}). Give an address of this machine."
        raise InputError(said) from None
    made.setblocking(False)
    return made


def address_of(listener: socket.socket, host: str) -> str:
    """Where clients reach it, e.g. `http://127.0.0.1:8080`."""
    port = listener.getsockname()[1]
    shown = "127.0.0.1" if host in ("0.0.0.0", "") else "::1" if host == "::" else host  # noqa: S104
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
