"""Where the server is, and how to reach it: address, certificates, key."""
from __future__ import annotations

import hashlib
import os
import pathlib
from dataclasses import dataclass, field

import grpc

from hmar.v1 import image_generation_pb2 as pb

#: Which picture an edit is of, for balancers.
UPLOAD_HEADER = "x-hmar-upload"
#: Largest event of a stream: a picture of 4096 x 4096 pixels.
MAX_EVENT_BYTES = 64 << 20
#: Largest reply in one piece, and largest request.
MAX_REPLY_BYTES = 256 << 20

_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", MAX_REPLY_BYTES),
    ("grpc.max_send_message_length", MAX_REPLY_BYTES),
    ("grpc.enable_retries", 0),  # The client's own know what is safe.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),  # By itself up to two minutes, in which every call fails at once.
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_time_ms", 30_000),  # A call may wait for long while nothing comes.
    ("grpc.keepalive_timeout_ms", 10_000),
]


@dataclass(frozen=True)
class Connection:
    """Where a server is. What is left out comes from the environment.

    ``HMAR_SERVER`` (host:port), ``HMAR_KEY``, ``HMAR_TLS`` (1: with TLS), ``HMAR_CA``, ``HMAR_CERT``, ``HMAR_CERT_KEY``:
    files in PEM.
    """

    server: str = field(default_factory=lambda: os.environ.get("HMAR_SERVER", "localhost:50051"))
    key: str | None = field(default_factory=lambda: os.environ.get("HMAR_KEY"), repr=False)
    tls: bool = field(default_factory=lambda: os.environ.get("HMAR_TLS", "") not in ("", "0"))
    ca: str | os.PathLike[str] | None = field(default_factory=lambda: os.environ.get("HMAR_CA"))
    cert: str | os.PathLike[str] | None = field(default_factory=lambda: os.environ.get("HMAR_CERT"))
    cert_key: str | os.PathLike[str] | None = field(default_factory=lambda: os.environ.get("HMAR_CERT_KEY"))

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.cert_key is None):
            raise ValueError("cert and cert_key go together")

    @property
    def secure(self) -> bool:
        """With TLS: because it is asked for, or because there are certificates for it."""
        return self.tls or self.ca is not None or self.cert is not None

    @property
    def options(self) -> list[tuple[str, int]]:
        return list(_OPTIONS)

    def metadata(self, request: pb.GenerateRequest | None = None) -> tuple[tuple[str, str], ...]:
        """Of a call: the key, and of an edit which picture it is of, so that a balancer sends all edits of one picture to
        the server that has its tokens already."""
        key = () if self.key is None else (("authorization", f"Bearer {self.key}"),)
        return key if request is None else (*key, *upload_metadata(request))

    def credentials(self) -> grpc.ChannelCredentials:
        def read(path: str | os.PathLike[str] | None) -> bytes | None:
            return None if path is None else pathlib.Path(path).read_bytes()

        return grpc.ssl_channel_credentials(read(self.ca), read(self.cert_key), read(self.cert))


def upload_metadata(request: pb.GenerateRequest) -> tuple[tuple[str, str], ...]:
    """The beginning of the uploaded picture's SHA-256; nothing, unless the request is an edit."""
    if not request.HasField("edit"):
        return ()
    return ((UPLOAD_HEADER, hashlib.sha256(request.edit.image).hexdigest()[:16]),)


def connection_of(server: str | None, key: str | None, tls: bool | None, ca: str | os.PathLike[str] | None,
                  cert: str | os.PathLike[str] | None, cert_key: str | os.PathLike[str] | None) -> Connection:
    """What is None comes from the environment."""
    default = Connection()
    return Connection(server=default.server if server is None else server, key=default.key if key is None else key,
                      tls=default.tls if tls is None else tls, ca=default.ca if ca is None else ca,
                      cert=default.cert if cert is None else cert,
                      cert_key=default.cert_key if cert_key is None else cert_key)
