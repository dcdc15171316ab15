"""Makes the message classes of proto/ when the package is built; all else stands in pyproject.toml."""
import importlib.resources
import os
import pathlib
import re
import shutil
import sysconfig

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
PROTO = pathlib.Path("hmar", "v1", "image_generation.proto")


def in_source_archive():
    return (HERE / "proto").exists()


def proto_root():
    """An sdist brings the file along; a checkout has it beside the server."""
    return HERE / "proto" if in_source_archive() else HERE.parents[1] / "proto"


def version():
    """The project's: what the sdist noted, or CMake's."""
    if in_source_archive():
        return (HERE / "VERSION").read_text().strip()
    found = re.search(r"project\(\s*[\w-]+\s+VERSION\s+([0-9.]+)", (HERE.parents[1] / "CMakeLists.txt").read_text())
    if found is None:
        raise RuntimeError("CMakeLists.txt names no version")
    return found[1]


class BuildWithMessages(build_py):
    """Also writes hmar.v1, with its types, beside hmar_client."""

    def run(self):
        super().run()
        from grpc_tools import protoc

        out = HERE / "src" if self.editable_mode else pathlib.Path(self.build_lib)
        out.mkdir(parents=True, exist_ok=True)
        well_known = importlib.resources.files("grpc_tools") / "_proto"
        types = shutil.which("protoc-gen-mypy", path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]))
        if protoc.main(["protoc", f"-I{proto_root()}", f"-I{well_known}", f"--plugin=protoc-gen-mypy={types}",
                        f"--python_out={out}", f"--mypy_out=quiet:{out}", str(proto_root() / PROTO)]):
            raise RuntimeError("protoc failed")
        (out / PROTO.parent / "py.typed").touch()


class SourceWithProto(sdist):
    """Also takes the proto and the version along."""

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        target = pathlib.Path(base_dir, "proto", PROTO)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(proto_root() / PROTO, target)
        pathlib.Path(base_dir, "VERSION").write_text(version() + "\n")


setup(version=version(), cmdclass={"build_py": BuildWithMessages, "sdist": SourceWithProto})
