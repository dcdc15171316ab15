"""When a call that failed is worth another try."""
from __future__ import annotations

import random
import time
from dataclasses import dataclass

import grpc

from .errors import HmarError


@dataclass(frozen=True)
class RetryPolicy:
    """How long to go on trying. The server's own wish, RetryInfo, is always honoured; without one the waits double.

    A request is safe to send again at any time, also after a server has accepted it and died: equal requests with equal
    seeds make equal bytes, and the client chooses a seed where you do not. Once a server has accepted it, later tries ask
    for the model that it named. Images and previews that have been delivered are not delivered again; Accepted comes with
    each try that is accepted, since each waits anew. Servers behind one address must have the same models by their names.
    """

    seconds: float = 60.0  #: Budget of all waits of a call together; 0: no second try.
    attempts: int = 20  #: Calls, the first included.
    first_wait: float = 0.2  #: Where the server names none,
    longest_wait: float = 5.0  #: up to this.
    jitter: float = 0.2  #: Waits are longer by up to this share, so that many clients do not come back at once.


_CUT_OFF = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED)

NO_RETRIES = RetryPolicy(seconds=0, attempts=1)


class Retries:
    """The tries of one call. Not thread-safe."""

    def __init__(self, policy: RetryPolicy, dice: random.Random | None = None) -> None:
        self._policy = policy
        self._dice = dice or random.Random()
        self._waited = 0.0
        self._failures = 0

    def wait_after(self, error: HmarError) -> float | None:
        """Seconds until the next try; None: there is none, the error stands."""
        self._failures += 1
        if not may_succeed_later(error) or self._failures >= self._policy.attempts:
            return None
        wait = error.retry_after
        if wait is None:
            wait = min(self._policy.longest_wait, self._policy.first_wait * 2 ** (self._failures - 1))
        wait *= 1 + self._policy.jitter * self._dice.random()
        if self._waited + wait > self._policy.seconds:
            return None
        self._waited += wait
        return wait


def may_succeed_later(error: HmarError) -> bool:
    """The server says so, nobody answered, or the answer was cut off on its way.

    A server's own errors have a reason. One of these codes without any is the transport's: a connection that broke, or
    a proxy that lost the server behind it.
    """
    if error.code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return error.retry_after is not None
    return error.code == grpc.StatusCode.UNAVAILABLE or (error.code in _CUT_OFF and not error.reason)


class Deadline:
    """A call's, over all its tries."""

    def __init__(self, timeout: float | None) -> None:
        self._end = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds; None: as long as it takes."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    def check(self, wait: float, failure: HmarError) -> None:
        """Raises the failure if the deadline will have passed by then."""
        left = self.left()
        if left is not None and wait >= left:
            raise failure from None
