"""python -m hmar_client: images from the command line. (`hmar`, the C++ client, can do more.)"""
from __future__ import annotations

import argparse
import pathlib
import sys

from . import Client, HmarError, Pictures, Progress
from .requests import Box, EditOptions, Options


def main(arguments: list[str] | None = None) -> int:
    """0: done; 1: the server refused or failed; 2: the command line is wrong; 130: interrupted."""
    given = _parser().parse_args(arguments)
    try:
        with Client(given.server) as client:
            return _run(client, given)
    except HmarError as error:
        print(f"hmar_client: {error}", file=sys.stderr)
        for violation in error.violations:
            print(f"  {violation.field}: {violation.description}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"hmar_client: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hmar_client", description=__doc__)
    parser.add_argument("--server", help="host:port; default: HMAR_SERVER, or localhost:50051")
    commands = parser.add_subparsers(dest="command", required=True)
    models = commands.add_parser("models", help="what the server holds")
    models.add_argument("--classes", action="store_true", help="and what its classes are called")
    commands.add_parser("health", help="exit code 0: the server is ready")
    for name, what in (("generate", "new images"), ("edit", "a part of a picture, anew")):
        command = commands.add_parser(name, help=what)
        command.add_argument("target", nargs="?", help="a class by name, alias or number; default: none")
        command.add_argument("--model", help="default: the server's first")
        command.add_argument("--seed", type=int)
        command.add_argument("-n", type=int, default=1, help="images")
        command.add_argument("--out", type=pathlib.Path, default=pathlib.Path("pictures"), help="folder; default: %(default)s")
        command.add_argument("--format", choices=("png", "jpeg", "webp"), default="png")
        command.add_argument("--quality", type=int, help="1 to 100, of jpeg and webp")
        command.add_argument("--lossless", action="store_true", help="a webp that keeps every pixel")
        command.add_argument("--sheet", type=pathlib.Path, help="also a sheet with every preview, as this file")
        command.add_argument("--timeout", type=float, help="seconds")
        if name == "edit":
            command.add_argument("--image", required=True, help="file")
            region = command.add_mutually_exclusive_group()
            region.add_argument("--box", type=_box, help="x0,y0,x1,y1: generate inside")
            region.add_argument("--keep-box", type=_box, help="generate outside")
            region.add_argument("--mask", help="file: generate where it is white")
    return parser


def _box(text: str) -> Box:
    parts = [int(part) for part in text.split(",")]
    if len(parts) != 4:
        raise argparse.ArgumentTypeError(f"{text!r} is no x0,y0,x1,y1")
    return parts[0], parts[1], parts[2], parts[3]


def _run(client: Client, given: argparse.Namespace) -> int:
    if given.command == "models":
        for model in client.models():
            print(f"{model.name}: {model.image_size} px, {len(model.classes)} classes, {model.precision} on "
                  f"{', '.join(model.devices)}{', default' if model.is_default else ''}")
            for number, name in enumerate(model.classes if given.classes else ()):
                print(f"{number:6}  {': '.join(filter(None, (name, ', '.join(model.class_aliases[number]))))}")
        return 0
    if given.command == "health":
        ready = client.health()
        print("ready" if ready else "not ready")
        return 0 if ready else 1
    pictures = _make(client, given)
    given.out.mkdir(parents=True, exist_ok=True)
    for image in pictures:
        path = given.out / f"image-{image.seed}{image.extension}"
        path.write_bytes(image.data)
        print(path)
    if given.sheet is not None:
        pictures.sheet().save(given.sheet)
        print(given.sheet)
    return 0


def _make(client: Client, given: argparse.Namespace) -> Pictures:
    options: Options = {"n": given.n, "format": given.format, "lossless": given.lossless}
    if given.quality is not None:
        options["quality"] = given.quality
    if given.model is not None:
        options["model"] = given.model
    if given.seed is not None:
        options["seed"] = given.seed
    if given.timeout is not None:
        options["timeout"] = given.timeout
    if given.command == "generate":
        return client.images(given.target, progress=_show, **options)
    edit: EditOptions = {**options}  # type: ignore[typeddict-item]  # What it lacks is left out.
    if given.box is not None:
        edit["box"] = given.box
    if given.keep_box is not None:
        edit["keep_box"] = given.keep_box
    if given.mask is not None:
        edit["mask"] = given.mask
    return client.edit(given.image, given.target, progress=_show, **edit)


def _show(progress: Progress) -> None:
    """One line, in place, on a terminal."""
    if sys.stderr.isatty():
        bar = "#" * round(40 * progress.fraction)
        print(f"\r[{bar:40}] {progress.done} of {progress.images}", end="\n" if progress.fraction == 1 else "", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
