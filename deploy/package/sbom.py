#!/usr/bin/env python3
"""The bill of materials of an installation, as CycloneDX JSON: deploy/package/sbom.py PREFIX > hmar-server.cdx.json

What the installed programs load, as the loader says, by the Debian package that brings it; what is linked into them, headers above
all; and what of PyPI lies in lib/hmar-server. Takes cyclonedx-python-lib (deploy/setup.sh --deploy) and the machine it was built on."""
import pathlib
import re
import subprocess
import sys
from importlib import metadata

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

REPO = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("bin/hmar-server", "bin/hmar", "bin/hmar-load", "lib/libhmar_cuda.so")
# Of [apt build]: what leaves nothing in a program but code of its headers.
HEADERS_ALONE = ("libcli11-dev", "libstb-dev", "libtomlplusplus-dev", "nlohmann-json3-dev")
# What of PyPI has its libraries in lib/hmar-server.
BUNDLED = {"libtorch_cpu.so": "torch", "libc10.so": "torch", "libcudart.so.13": "nvidia-cuda-runtime", "libcupti.so.13": "nvidia-cuda-cupti"}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def libraries(prefix):
    """Paths of all that the programs load."""
    found = set()
    for program in PROGRAMS:
        if (prefix / program).exists():
            found |= {pathlib.Path(path).resolve() for path in re.findall(r"=> (/\S+)", run("ldd", prefix / program))}
    return found


def debian_packages(paths):
    """The packages that the libraries are of; since /lib became a link of /usr/lib, either may be a library's place."""
    places = {place: path for path in paths for place in (str(path), str(path).removeprefix("/usr"))}
    told = subprocess.run(["dpkg-query", "--search", *places], capture_output=True, text=True).stdout  # Fails for the other places.
    owners = {places[place]: name for name, place in re.findall(r"^([^:\s]+)(?::\w+)?: (.*)$", told, re.M)}
    if strangers := [path for path in paths if path not in owners]:
        raise SystemExit(f"sbom: of no Debian package, and not bundled: {strangers}")
    return sorted(set(owners.values()))


def debian(name):
    version = run("dpkg-query", "-W", "-f=${Version}", name)
    return Component(name=name, version=version, type=ComponentType.LIBRARY,
                     purl=PackageURL("deb", "debian", name, version, {"distro": "bookworm"}))


def pypi(name):
    version = metadata.version(name)
    return Component(name=name, version=version, type=ComponentType.LIBRARY, purl=PackageURL("pypi", None, name, version))


def main():
    prefix = pathlib.Path(sys.argv[1]).resolve()
    version = re.search(r"project\(hmar-server VERSION ([0-9.]+)", (REPO / "CMakeLists.txt").read_text())[1]
    loaded = libraries(prefix)
    bundled = {BUNDLED[path.name] for path in loaded if path.is_relative_to(prefix)}
    others = [path for path in loaded if not path.is_relative_to(prefix) and path.name not in BUNDLED and "cublasLt" not in path.name]
    bom = Bom()
    bom.metadata.component = Component(name="hmar-server", version=version, type=ComponentType.APPLICATION)
    for component in [*map(debian, (*debian_packages(others), *HEADERS_ALONE)), *map(pypi, sorted(bundled))]:
        bom.components.add(component)
    bom.register_dependency(bom.metadata.component, bom.components)
    print(JsonV1Dot6(bom).output_as_string(indent=2))


if __name__ == "__main__":
    main()
