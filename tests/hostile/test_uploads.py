"""Uploads that cost much more than their bytes say, and who has to wait for them."""
import io
import os
import struct
import zlib

import pytest
from hmar.v1 import image_generation_pb2 as pb
from PIL import Image

from memory import bounded_memory
from requests_under_test import IMAGE_SIZE, error_of, request

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BOMB_MB = 15_500      # What the largest upload can inflate to: 20 s of a core.
BLOCK_MB = 16         # Of which one deflate block has so many.
MAX_CPU_SECONDS = 4   # For an upload that takes thousandths of one.
LARGE_SIDE = 8000     # 64 megapixels, in 190 kB.
FLOOD = 10            # So many of them: 1.9 GB if they were all decoded at once.
MAX_DECODED_MB = 256  # --upload-decode-bytes, of which large uploads have three quarters.
OTHERS_MB = 60        # What else an edit, its call and its connection take.


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(side, image_data):
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", image_data) + chunk(b"IEND", b"")


def black_png(side):
    row, deflate = bytes(1 + 3 * side), zlib.compressobj(9)
    return png_of(side, b"".join(deflate.compress(row) for _ in range(side)) + deflate.flush())


def idat_bomb():
    """A picture of the model's size whose image data goes on behind its last row: the same block of zeros over and
    over, so that making it takes no time."""
    deflate = zlib.compressobj(9)
    rows = deflate.compress(bytes(IMAGE_SIZE * (1 + 3 * IMAGE_SIZE))) + deflate.flush(zlib.Z_FULL_FLUSH)
    block = deflate.compress(bytes(BLOCK_MB << 20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return png_of(IMAGE_SIZE, rows + block * (BOMB_MB // BLOCK_MB))


def edit(image, seed=1, **fields):
    """Read as any edit, and priced: no device takes part, so nothing else hides what reading costs."""
    region = fields.pop("region", {"box": pb.EditOptions.Box(x0=8, y0=8, x1=24, y1=24)})
    return request(seed=seed, validate_only=True,
                   edit=pb.EditOptions(image=image, resize=pb.EditOptions.RESIZE_COVER, **region), **fields)


def accepted(events):
    return [event for event in events if event.WhichOneof("event") == "accepted"]


def cpu_seconds(server):
    with open(f"/proc/{server.process.pid}/stat") as stat:
        user, system = stat.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("leaves", [False, True])
@pytest.mark.parametrize("where", ["image", "mask"])
def test_image_data_behind_the_last_row_costs_nothing(victim, scale, where, leaves):
    server = victim()
    small, bomb = black_png(IMAGE_SIZE), idat_bomb()
    attack = edit(bomb) if where == "image" else edit(small, region={"mask": bomb})
    assert accepted(server.stub().Generate(edit(small)))
    before = cpu_seconds(server)
    with bounded_memory(server):
        for _ in range(scale):
            call = server.stub().Generate(attack)
            if leaves:
                call.cancel()
            else:
                assert accepted(call)
        assert accepted(server.stub().Generate(edit(small)))
    assert cpu_seconds(server) - before < MAX_CPU_SECONDS * scale, "what no row needs was inflated"


def pillows(kind, **options):
    """The largest picture of another format."""
    out = io.BytesIO()
    Image.new("RGB", (LARGE_SIDE, LARGE_SIDE), (90, 120, 30)).save(out, kind, **options)
    return out.getvalue()


LARGE = {"png": lambda: black_png(LARGE_SIDE), "jpeg": lambda: pillows("JPEG"), "webp": lambda: pillows("WEBP", method=0)}


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE)
def test_a_flood_of_large_uploads_is_bounded_and_delays_no_small_edit(victim, scale, make):
    server = victim()
    large, small = make(), black_png(IMAGE_SIZE)
    with bounded_memory(server, peak_mb=MAX_DECODED_MB + OTHERS_MB):
        flood = [server.stub().GenerateImages.future(pb.GenerateImagesRequest(request=edit(large, seed)))
                 for seed in range(FLOOD * scale)]
        server.wait_for_metric(lambda read: read >= 1, "hmar_upload_read_duration_seconds_count")
        assert accepted(server.stub().Generate(edit(small)))
        done = sum(call.done() for call in flood)
        assert done <= len(flood) // 2, f"the small edit came after {done} of {len(flood)} large ones"
        for call in flood:
            call.cancel()


@pytest.mark.parametrize("make", [lambda: pillows("JPEG", progressive=True), lambda: pillows("WEBP", lossless=True, method=0)],
                         ids=["progressive jpeg", "lossless webp"])
def test_what_decodes_to_more_than_there_is_room_for_is_refused_at_once(victim, make):
    server, large = victim(), make()
    with bounded_memory(server, peak_mb=OTHERS_MB):
        for seed in range(3):
            error = error_of(lambda: server.stub().Generate(edit(large, seed)))  # noqa: B023
            assert error.info.reason == "IMAGE_INVALID"
            assert "bytes decoded; at most" in error.message


def test_large_uploads_whose_clients_have_left_are_not_read(victim):
    """What waits is dropped; what is being read ends at its next row."""
    server = victim()
    large = black_png(LARGE_SIDE)
    flood = [server.stub().Generate(edit(large, seed)) for seed in range(FLOOD)]
    for call in flood:
        call.cancel()
    assert accepted(server.stub().Generate(edit(black_png(LARGE_SIDE // 2))))  # Large: behind them, if they were read.
    assert server.metric("hmar_upload_read_duration_seconds_count") <= FLOOD // 2
