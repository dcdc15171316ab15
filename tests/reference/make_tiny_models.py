"""Makes the tiny models that tests/golden/*.json describe, each under OUT/NAME, and checks their digests.

    make_tiny_models.py OUT

Each is written as the format that the goldens do not come from as well, OUT/NAME-pth. Models that are there already, with
the right digest, stay.
"""
import argparse
import hashlib
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def make(folder, options):
    subprocess.run([sys.executable, HERE / "make_random_model.py", folder, *options], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    out = parser.parse_args().out
    for golden in sorted((HERE.parent / "golden").glob("tiny-*.json")):
        document = json.loads(golden.read_text())
        folder = out / golden.stem
        wanted = document["sha256"]
        if any(digest(folder / f"{file}.safetensors") != wanted[file] for file in wanted):
            make(folder, document["options"])
        for file, sha256 in wanted.items():
            if digest(folder / f"{file}.safetensors") != sha256:
                sys.exit(f"{folder}/{file}.safetensors is not what the goldens were made from: numpy's RandomState differs?")
        pth = out / f"{golden.stem}-pth"
        if not (pth / "vqvae.pth").exists():
            make(pth, [*document["options"], "--format", "pth"])


if __name__ == "__main__":
    main()
