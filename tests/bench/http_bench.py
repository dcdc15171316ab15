"""What HTTP costs beside gRPC, under full load.

    "$(deploy/setup.sh --print-python)" tests/bench/http_bench.py [--rounds 6] [--requests 200] [--build-dir build]

Rounds over gRPC and over HTTP take turns on one server, with the same requests (one image each, one in three with
previews as a stream); a ratio is that of two neighbours, so that what else the machine does weighs on both. Throughput is
what is asked, and noisy where others share the cores; processor time by image is the server's own. Both clients are
asyncio's, and decode what they get as far as its bytes.
"""
import argparse
import asyncio
import base64
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests" / "e2e"))
import stubs  # noqa: E402


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6, help="of either kind")
    parser.add_argument("--requests", type=int, default=200, help="in a round")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--threads", type=int, default=0, help="of the engine, see hmar-server; 1: least disturbed by others")
    parser.add_argument("--build-dir", default=str(REPO / "build"))
    return parser.parse_args()


def cpu_seconds(server):
    """User and system time of the server so far: fields 14 and 15 of proc(5)'s stat."""
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def streams(number):
    return number % 3 == 0


class Grpc:
    name = "gRPC"

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exception):
        await self._channel.close()

    def __init__(self, server):
        import grpc
        from hmar.v1 import image_generation_pb2 as pb
        from hmar.v1 import image_generation_pb2_grpc

        self._pb = pb
        self._channel = grpc.aio.insecure_channel(server.address)
        self._stub = image_generation_pb2_grpc.ImageGenerationServiceStub(self._channel)

    async def draw(self, number):
        pb = self._pb
        request = pb.GenerateRequest(class_id=number % 10, seed=number)
        if not streams(number):
            reply = await self._stub.GenerateImages(pb.GenerateImagesRequest(request=request))
            return reply.images[0].picture.data
        request.previews.CopyFrom(pb.PreviewOptions(mode=pb.PreviewOptions.MODE_FAST))
        async for event in self._stub.Generate(request):
            if event.WhichOneof("event") == "image":
                picture = event.image.picture.data
        return picture


class Http:
    """HTTP/1.1 as small as it can be, on connections that are kept."""

    name = "HTTP"

    def __init__(self, server):
        self._port = server.http_port
        self._idle = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exception):
        for _, writer in self._idle:
            writer.close()

    async def draw(self, number):
        fields = {"class": number % 10, "seed": number}
        if streams(number):
            fields |= {"stream": True, "events": "hmar", "previews": "fast"}
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 24)
        body = json.dumps(fields).encode()
        writer.write(b"POST /v1/images/generations HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
                     b"content-length: %d\r\n\r\n" % len(body) + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        picture = await (self._events(reader) if streams(number) else self._answer(reader, head))
        self._idle.append((reader, writer))
        return base64.b64decode(picture)

    async def _answer(self, reader, head):
        length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        return json.loads(await reader.readexactly(length))["data"][0]["b64_json"]

    async def _events(self, reader):
        text = b""
        while size := int(await reader.readline(), 16):
            text += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        images = [json.loads(line[6:]) for line in text.split(b"\n") if line.startswith(b'data: {"type":"hmar.image"')]
        return images[0]["b64_json"]


async def run_round(transport, args):
    """The pictures, by number, and the seconds."""
    numbers = iter(range(args.requests))
    pictures = {}

    async def worker():
        for number in numbers:
            pictures[number] = await transport.draw(number)

    start = time.monotonic()
    await asyncio.gather(*(worker() for _ in range(args.concurrency)))
    return pictures, time.monotonic() - start


async def compare(server, args):
    rates, costs, expected = {"gRPC": [], "HTTP": []}, {"gRPC": [], "HTTP": []}, None
    async with Grpc(server) as grpc_client, Http(server) as http_client:
        for number in range(args.rounds):
            for transport in (grpc_client, http_client) if number % 2 == 0 else (http_client, grpc_client):
                before = cpu_seconds(server)
                pictures, seconds = await run_round(transport, args)
                expected = expected or pictures
                assert pictures == expected, "the same requests have the same bytes"
                rates[transport.name].append(args.requests / seconds)
                costs[transport.name].append(1000 * (cpu_seconds(server) - before) / args.requests)
                print(f"round {number + 1}, {transport.name}: {rates[transport.name][-1]:.2f} images/s, "
                      f"{costs[transport.name][-1]:.1f} ms of processor an image", flush=True)
    for what, values in (("images/s", rates), ("processor time an image", costs)):
        ratios = [http / grpc for http, grpc in zip(values["HTTP"], values["gRPC"], strict=True)]
        print(f"{what}: gRPC {statistics.median(values['gRPC']):.2f}, HTTP {statistics.median(values['HTTP']):.2f}; "
              f"HTTP to gRPC, median of {args.rounds} neighbours: {statistics.median(ratios):.3f} "
              f"({min(ratios):.3f} to {max(ratios):.3f})")


def main():
    args = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        stubs.make(folder)
        from server_process import ServerProcess

        with ServerProcess(pathlib.Path(args.build_dir) / "server" / "hmar-server",
                           [f"--threads={args.threads}", "--http=127.0.0.1:0", "--no-access-log"], pathlib.Path(folder)) as server:
            server.wait_until_ready()
            asyncio.run(compare(server, args))


if __name__ == "__main__":
    main()
