"""The processes beside the server in crowd_bench.py, each of its own so that none takes another's time.

    crowd_members.py polite PORT STUBS             one client, one image after the other until its standard input ends
    crowd_members.py idle PORT COUNT PEERS         connections that say hello and nothing more, from so many addresses
    crowd_members.py half PORT COUNT CONNECTIONS   requests that stop before their end, spread over so many connections

The polite client prints a line for each image, when it began and ended. A crowd obeys the lines `come` and `go` on its
standard input and answers each with a line of JSON once it is done.
"""
import collections
import json
import resource
import socket
import sys
import threading
import time

from http2 import (DATA, END_STREAM, HEADERS, PATIENCE_SECONDS, PREFACE, RST_STREAM, SETTINGS, WindowedConnection,
                   frame, message)

HALF_BYTES = 60_000  # A message of this size,
UNSENT_BYTES = 1000  # but for its end. The whole fits the first window of a stream.


def polite(port, stubs):
    sys.path.insert(0, stubs)
    import grpc
    from hmar.v1 import image_generation_pb2 as pb, image_generation_pb2_grpc

    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    stub = image_generation_pb2_grpc.ImageGenerationServiceStub(grpc.insecure_channel(f"127.0.0.1:{port}"))
    one_pass = pb.SamplingParams(mask_schedule=pb.MaskSchedule(preset=pb.MaskSchedule.PRESET_NONE))
    request = pb.GenerateRequest(class_name="ship", seed=7, sampling=one_pass)  # Quick: what a crowd adds counts more.
    while not ended.is_set():
        start = time.monotonic()
        events = list(stub.Generate(request, timeout=PATIENCE_SECONDS))
        assert any(event.WhichOneof("event") == "image" for event in events)
        print(start, time.monotonic(), flush=True)


class IdleCrowd:
    """Comes as fast as one process can. Each connection sends its preface at once; who was taken is looked at last."""

    def __init__(self, port, count, peers):
        self._server = ("127.0.0.1", int(port))
        self._count, self._peers = int(count), int(peers)
        self._taken = []

    def _connect(self, i):
        """A connection that has spoken; None: refused before it could. Others learn of that later, see _is_taken."""
        source = (f"127.0.1.{i % self._peers + 1}", 0)
        try:
            connection = socket.create_connection(self._server, PATIENCE_SECONDS, source)
            connection.sendall(PREFACE + frame(SETTINGS, 0, 0))
            return connection
        except ConnectionError:
            return None

    @staticmethod
    def _is_taken(connection):
        """Whether the server says hello: it resets those that it refuses."""
        try:
            return connection is not None and connection.recv(9) != b""
        except ConnectionError:
            return False

    def come(self):
        self._taken = [connection for connection in [self._connect(i) for i in range(self._count)]
                       if self._is_taken(connection)]
        return {"taken": len(self._taken), "refused": self._count - len(self._taken)}

    def go(self):
        closed_before = sum(self._has_ended(connection) for connection in self._taken)
        for connection in self._taken:
            connection.close()
        return {"closed by the server before": closed_before}

    @staticmethod
    def _has_ended(connection):
        connection.setblocking(False)
        try:
            while connection.recv(4096):
                pass
            return True
        except BlockingIOError:
            return False
        except ConnectionError:
            return True


class HalfSender(WindowedConnection):
    """Keeps how each of its streams ended, and answers the server's pings for as long as one has not."""

    def __init__(self, port):
        super().__init__(port)
        self._begun = {}
        self.ends = {}  # By stream: how, and seconds after its headers.

    def read_frame(self):
        got = super().read_frame()
        if got is not None:
            kind, flags, stream, _ = got
            if stream in self._begun and (kind == RST_STREAM or kind in (HEADERS, DATA) and flags & END_STREAM):
                how = "reset" if kind == RST_STREAM else "with a status"
                self.ends.setdefault(stream, (how, time.monotonic() - self._begun[stream]))
        return got

    def send_half(self):
        stream = self.request("Generate")
        self._begun[stream] = time.monotonic()
        self.send_within_windows(stream, message(bytes(HALF_BYTES))[:-UNSENT_BYTES])

    def wait_for_ends(self):
        while len(self.ends) < len(self._begun) and self.frames_until(lambda got: True) is not None:
            pass


class HalfCrowd:
    """Each connection on a thread: it sends its share of the requests, then waits for what the server says."""

    def __init__(self, port, count, connections):
        self._port, self._each, self._connections = int(port), int(count) // int(connections), int(connections)
        self._crowd = []

    def come(self):
        """Returns once the server has read all that was sent."""
        self._crowd, sent = [], []
        self._on_each([lambda: sent.append(self._send())] * self._connections)
        return {"half sent": self._each * self._connections, "connections": sum(sent)}

    def _send(self):
        connection = HalfSender(self._port)
        self._crowd.append(connection)
        for _ in range(self._each):
            connection.send_half()
        return connection.settled()

    def go(self):
        """Returns once the server has ended all of them."""
        self._on_each([connection.wait_for_ends for connection in self._crowd])
        ends = [end for connection in self._crowd for end in connection.ends.values()]
        for connection in self._crowd:
            connection.close()
        seconds = sorted(seconds for _, seconds in ends)
        return {"ended": collections.Counter(how for how, _ in ends),
                "without an end": self._each * self._connections - len(ends),
                "seconds from headers to end": [round(seconds[0], 1), round(seconds[-1], 1)] if seconds else None}

    @staticmethod
    def _on_each(tasks):
        threads = [threading.Thread(target=task) for task in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def obey(crowd):
    for line in sys.stdin:
        print(json.dumps({"come": crowd.come, "go": crowd.go}[line.strip()]()), flush=True)


if __name__ == "__main__":
    role, arguments = sys.argv[1], sys.argv[2:]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if role == "polite":
        polite(*arguments)
    else:
        obey({"idle": IdleCrowd, "half": HalfCrowd}[role](*arguments))
