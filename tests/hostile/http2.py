"""A client that says what a decent HTTP/2 library would refuse to say: frames by hand, headers as plain literals."""
import contextlib
import errno
import socket
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SERVICE = "/hmar.v1.ImageGenerationService/"
PATIENCE_SECONDS = 60  # A limit for answers that come in milliseconds on a calm machine.


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _integer(value, prefix_bits):
    """HPACK's integer behind zero bits."""
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes([value])
    out = [limit]
    value -= limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def literal(name, value):
    """A header field that neither side remembers."""
    name, value = name.encode(), value.encode() if isinstance(value, str) else value
    return b"\x00" + _integer(len(name), 7) + name + _integer(len(value), 7) + value


def message(payload, compressed=False):
    """gRPC's five bytes in front of a message."""
    return struct.pack(">BI", compressed, len(payload)) + payload


class Http2Connection:
    """One connection, past its preface. Streams are 1, 3, 5, ...; sending blocks as TCP does."""

    def __init__(self, port, preface=True):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self._next_stream = 1
        self._received = b""
        if preface:
            self.send(PREFACE + frame(SETTINGS, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def request(self, method="Generate", *headers, end_headers=True):
        """Sends a call's headers; returns its stream."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        block = b"".join(literal(name, value) for name, value in [
            (":method", "POST"), (":scheme", "http"), (":path", method if "/" in method else SERVICE + method),
            (":authority", "localhost"), ("te", "trailers"), ("content-type", "application/grpc"), *headers])
        self.send(frame(HEADERS, END_HEADERS if end_headers else 0, stream, block))
        return stream

    def data(self, stream, payload, end_stream=False, frame_bytes=16384):
        """Sends DATA without a look at the server's windows: only for what fits them; see data_within_windows."""
        pieces = [payload[i:i + frame_bytes] for i in range(0, len(payload), frame_bytes)] or [b""]
        self.send(b"".join(frame(DATA, END_STREAM if end_stream and i == len(pieces) - 1 else 0, stream, piece)
                           for i, piece in enumerate(pieces)))

    def read_frame(self):
        """(kind, flags, stream, payload); None once the server has closed."""
        while True:
            if len(self._received) >= 9:
                length = int.from_bytes(self._received[:3], "big")
                if len(self._received) >= 9 + length:
                    head, payload = self._received[:9], self._received[9:9 + length]
                    self._received = self._received[9 + length:]
                    return head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, payload
            try:
                news = self.socket.recv(1 << 16)
            except OSError as error:
                if error.errno != errno.ECONNRESET:
                    raise
                news = b""
            if not news:
                return None
            self._received += news

    def frames_until(self, wanted):
        """Reads frames, acknowledging SETTINGS and PINGs, until wanted(frame); returns that frame, None if closed."""
        while (got := self.read_frame()) is not None:
            kind, flags, _, payload = got
            if kind in (SETTINGS, PING) and not flags & ACK:
                with contextlib.suppress(OSError):  # A server that has just closed: what it said before is still read.
                    self.send(frame(kind, ACK, 0, payload if kind == PING else b""))
            if wanted(got):
                return got
        return None

    def wait_for_end(self, stream):
        """The frame that ends a stream: trailers, RST_STREAM, GOAWAY; None if the connection closed."""
        return self.frames_until(lambda got: got[0] == GOAWAY or got[2] == stream and (
            got[0] == RST_STREAM or got[0] in (HEADERS, DATA) and got[1] & END_STREAM))

    def wait_until_closed(self):
        self.frames_until(lambda got: False)

    def settled(self):
        """Returns once the server has read everything sent so far: a PING came back."""
        self.send(frame(PING, 0, 0, b"settled?"))
        return self.frames_until(lambda got: got[0] == PING and got[1] & ACK and got[3] == b"settled?") is not None


class WindowedConnection(Http2Connection):
    """As Http2Connection, but it sends DATA only as far as the server's windows go."""

    def __init__(self, port):
        super().__init__(port)
        self._initial = 65535
        self._connection_window = 65535
        self._windows = {}

    def _note(self, got):
        kind, flags, stream, payload = got
        if kind == SETTINGS and not flags & ACK:
            for i in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[i:i + 6])
                if name == 4:
                    self._windows = {key: left + value - self._initial for key, left in self._windows.items()}
                    self._initial = value
        if kind == WINDOW_UPDATE:
            more = int.from_bytes(payload, "big")
            if stream == 0:
                self._connection_window += more
            elif stream in self._windows:
                self._windows[stream] += more

    def read_frame(self):
        got = super().read_frame()
        if got is not None:
            self._note(got)
        return got

    def request(self, *args, **options):
        stream = super().request(*args, **options)
        self._windows[stream] = self._initial
        return stream

    def send_within_windows(self, stream, payload, end_stream=False):
        """Sends all of the payload; False if the server ended the stream or the connection before."""
        sent = 0
        while sent < len(payload):
            room = min(self._connection_window, self._windows[stream], 16384, len(payload) - sent)
            if room > 0:
                last = end_stream and sent + room == len(payload)
                try:
                    self.send(frame(DATA, END_STREAM if last else 0, stream, payload[sent:sent + room]))
                except OSError:
                    return False
                sent += room
                self._windows[stream] -= room
                self._connection_window -= room
                continue
            got = self.frames_until(lambda got: True)
            if got is None or got[0] == GOAWAY or got[2] == stream and got[0] in (RST_STREAM, HEADERS):
                return False
        return True
