"""Connections that send any bytes to the HTTP port."""
import json
import socket

PATIENCE_SECONDS = 120


class RawHttp:
    """One connection; `source` is the address it comes from, of which this machine has many."""

    def __init__(self, port, source="127.0.0.1", receive_buffer=None):
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(PATIENCE_SECONDS)
        self._socket.bind((source, 0))
        self._socket.connect(("127.0.0.1", port))
        self._unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._socket.close()

    def fileno(self):
        return self._socket.fileno()

    def send(self, data):
        """False: the server has closed."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def _receive(self):
        try:
            return self._socket.recv(1 << 16)
        except ConnectionResetError:
            return b""

    def read_until(self, mark):
        """All up to and with the mark; what there is if the connection ends before."""
        while mark not in self._unread and (more := self._receive()):
            self._unread += more
        end = self._unread.find(mark)
        end = len(self._unread) if end < 0 else end + len(mark)
        read, self._unread = self._unread[:end], self._unread[end:]
        return read

    def answer(self):
        """status, body of the next answer; (None, b"") if the connection ends before."""
        head = self.read_until(b"\r\n\r\n").decode("latin-1")
        if not head:
            return None, b""
        lines = head.split("\r\n")
        length = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")), 0)
        while len(self._unread) < length and (more := self._receive()):
            self._unread += more
        body, self._unread = self._unread[:length], self._unread[length:]
        return int(lines[0].split(" ")[1]), body

    def ended(self):
        """Whether the connection ends without another byte."""
        return self.read_until(b"never") == b""


def head(method="POST", path="/v1/images/generations", **headers):
    lines = [f"{method} {path} HTTP/1.1", "host: a", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def json_request(fields, **headers):
    body = json.dumps(fields).encode()
    return head(content_type="application/json", content_length=len(body), **headers) + body


def is_served(port, source="127.0.0.1"):
    """Whether an image is made for whoever comes from there."""
    with RawHttp(port, source) as connection:
        connection.send(json_request({"prompt": "ship", "seed": 7}))
        status, body = connection.answer()
        return status == 200 and len(json.loads(body)["data"]) == 1
