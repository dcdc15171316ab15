"""Python's side of the API, made from proto/ for a test run."""
import importlib.resources
import pathlib
import sys

REPO = pathlib.Path(__file__).resolve().parents[2]


def make(folder):
    """Writes the stubs of hmar.v1 into the folder and makes them importable."""
    from grpc_tools import protoc

    well_known = importlib.resources.files("grpc_tools") / "_proto"
    failed = protoc.main(["protoc", f"-I{REPO / 'proto'}", f"-I{well_known}", f"--python_out={folder}",
                          f"--grpc_python_out={folder}", str(REPO / "proto" / "hmar" / "v1" / "image_generation.proto")])
    if failed:
        raise RuntimeError("protoc failed")
    sys.path.insert(0, str(folder))
