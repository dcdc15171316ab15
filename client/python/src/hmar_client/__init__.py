"""Images from an hmar-server.

    from hmar_client import Client
    client = Client("localhost:50051")
    client.images("ship", seed=7)[0].picture.show()
"""
from .aio import AsyncClient
from .answers import Model, Pictures, Progress
from .client import Client
from .connection import Connection
from .errors import (
    BadAnswer,
    Cancelled,
    DeadlineExceeded,
    HmarError,
    InvalidRequest,
    NotFound,
    Overloaded,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
    Violation,
)
from .events import Accepted, Completed, Event, Image, Preview, Receipt, ScaleCost
from .retry import NO_RETRIES, RetryPolicy

__all__ = [
    "NO_RETRIES", "Accepted", "AsyncClient", "BadAnswer", "Cancelled", "Client", "Completed", "Connection",
    "DeadlineExceeded", "Event", "HmarError", "Image", "InvalidRequest", "Model", "NotFound", "Overloaded",
    "PermissionDenied", "Pictures", "Preview", "Progress", "Receipt", "RetryPolicy", "ScaleCost", "Unauthenticated",
    "Unavailable", "Violation",
]
