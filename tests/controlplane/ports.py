"""A port of the loopback interface that stays ours."""

import socket

LOOPBACK = "127.0.0.1"


class ReservedPort:
    """A free port, reserved for as long as this object is open, also while the server that uses it is down.

    The socket is bound but does not listen. The API server binds the same port with `--permit-port-sharing`
    (SO_REUSEPORT), which the kernel allows to processes of the same user that all ask for it; so no other program can
    get the port between our choice and the server's start, and no start has to be repeated for a collision.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((LOOPBACK, 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()
