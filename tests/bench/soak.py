"""Many requests with random parameters, clients that leave, and bad ones among them; then: has the server grown?

    "$(deploy/setup.sh --print-python)" tests/bench/soak.py [--requests 2000] [--clients 4] [--build-dir build]

Prints a table and exits with 1 if the resident memory grew by more than --limit-mb after the first tenth of the
requests (which fills caches and arenas), or if an image is left in the server at the end.
"""
import argparse
import collections
import concurrent.futures
import pathlib
import random
import sys
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests" / "e2e"))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=4, help="requests in flight")
    parser.add_argument("--seed", type=int, default=1, help="of the random parameters")
    parser.add_argument("--limit-mb", type=float, default=16)
    parser.add_argument("--build-dir", default=str(REPO / "build"))
    parser.add_argument("--model", default=str(REPO / "deploy" / "models" / "hmar-cifar10"))
    return parser.parse_args()


def random_request(rng, pb):
    """Any valid request, and one in twenty that is not."""
    presets = [pb.MaskSchedule.PRESET_UNSPECIFIED, pb.MaskSchedule.PRESET_NONE, pb.MaskSchedule.PRESET_QUALITY]
    request = pb.GenerateRequest(
        seed=rng.getrandbits(64), num_images=rng.choice([1, 1, 1, 2, 4]),
        sampling=pb.SamplingParams(
            cfg_scale=rng.uniform(0, 4), top_k=rng.choice([0, 1, 50, 600]), top_p=rng.uniform(0.5, 1),
            temperature=rng.uniform(0.5, 1.5), mask_schedule=pb.MaskSchedule(preset=rng.choice(presets))),
        previews=pb.PreviewOptions(mode=rng.choice([0, pb.PreviewOptions.MODE_FAST, pb.PreviewOptions.MODE_FULL])),
        output=pb.OutputOptions(format=rng.choice([pb.OutputOptions.FORMAT_PNG, pb.OutputOptions.FORMAT_RGB8]),
                                return_tokens=rng.random() < 0.5))
    if rng.random() < 0.9:
        request.class_id = rng.randrange(10)
    if rng.random() < 0.05:
        request.num_images = 100_000
    return request


def run_one(stub, seed, pb, grpc):
    """One request; one in five clients leaves after a few events. Returns how it ended."""
    rng = random.Random(seed)
    call = stub.Generate(random_request(rng, pb))
    leave_after = rng.randrange(8) if rng.random() < 0.2 else None
    try:
        for i, _ in enumerate(call):
            if i == leave_after:
                call.cancel()
        return "OK"
    except grpc.RpcError as error:
        return error.code().name


def main():
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        return soak(arguments, pathlib.Path(folder))


def soak(arguments, folder):
    import stubs
    stubs.make(folder)
    import grpc
    from hmar.v1 import image_generation_pb2 as pb
    from server_process import ServerProcess

    program = pathlib.Path(arguments.build_dir) / "server" / "hmar-server"
    with ServerProcess(program, [f"--model=m={arguments.model}"], folder) as server:
        server.wait_until_ready()
        stub, outcomes, rows = server.stub(), collections.Counter(), []
        start = time.monotonic()

        def record(done):
            rows.append((done, time.monotonic() - start, server.memory_mb("VmRSS"), server.memory_mb("VmHWM")))

        record(0)
        tenth = max(arguments.requests // 10, 1)
        with concurrent.futures.ThreadPoolExecutor(arguments.clients) as pool:
            for first in range(0, arguments.requests, tenth):
                seeds = range(first, min(first + tenth, arguments.requests))
                outcomes.update(pool.map(lambda i: run_one(stub, (arguments.seed << 32) + i, pb, grpc), seeds))
                server.wait_until_idle()
                record(seeds[-1] + 1)
    print("| requests | seconds | resident MB | peak MB |\n|---|---|---|---|")
    for done, seconds, resident, peak in rows:
        print(f"| {done} | {seconds:.0f} | {resident:.1f} | {peak:.1f} |")
    print("\nOutcomes:", ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items())))
    grown = rows[-1][2] - rows[1][2]
    print(f"Growth after the first tenth: {grown:+.1f} MB (limit {arguments.limit_mb:g})")
    unexpected = set(outcomes) - {"OK", "CANCELLED", "INVALID_ARGUMENT"}
    if unexpected:
        print("Unexpected outcomes:", ", ".join(sorted(unexpected)))
    return int(grown > arguments.limit_mb or bool(unexpected))


if __name__ == "__main__":
    sys.exit(main())
