"""Many images at once: eight calls are open at a time, pictures are saved as they come.

    python many_images.py [folder] [images]
"""
import asyncio
import pathlib
import sys

from hmar_client import AsyncClient

OPEN = 8


async def save(client: AsyncClient, room: asyncio.Semaphore, folder: pathlib.Path, seed: int) -> None:
    async with room:
        (image,) = await client.images(seed % 10, seed=seed, schedule="none")
        (folder / f"{seed:04}.png").write_bytes(image.data)


async def main(folder: pathlib.Path, images: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    room = asyncio.Semaphore(OPEN)
    async with AsyncClient() as client:
        await asyncio.gather(*(save(client, room, folder, seed) for seed in range(images)))
    print(f"{images} images in {folder}")


asyncio.run(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "pictures"),
                 int(sys.argv[2]) if len(sys.argv) > 2 else 100))
