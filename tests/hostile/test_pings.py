"""A client that pings more often than it may."""
import struct

from http2 import GOAWAY, PING, Http2Connection, frame, message

ENHANCE_YOUR_CALM = 11
PINGS = 20


def flood_of_pings(server):
    """What comes of a call behind many pings: a GOAWAY's error code and reason, or None: it is answered."""
    with Http2Connection(server.port) as flood:
        pings = b"".join(frame(PING, 0, 0, struct.pack(">Q", number)) for number in range(PINGS))
        pieces = [pings]
        send, flood.send = flood.send, pieces.append  # At once: the server may close as soon as it has read the pings.
        stream = flood.request("ListModels")
        flood.data(stream, message(b""), end_stream=True)
        send(b"".join(pieces))
        flood.send = send
        got = flood.wait_for_end(stream)
        return (struct.unpack(">I", got[3][4:8])[0], got[3][8:]) if got[0] == GOAWAY else None


def test_pings_without_a_pause_end_the_connection(victim):
    assert flood_of_pings(victim("--max-ping-strikes=3")) == (ENHANCE_YOUR_CALM, b"too_many_pings")


def test_without_strikes_any_number_of_pings_is_answered(victim):
    assert flood_of_pings(victim("--max-ping-strikes=0")) is None
