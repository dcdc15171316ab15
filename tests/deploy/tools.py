"""Tools of operators that may be missing."""
import pathlib
import shutil
import sys
import warnings

import pytest


def tool(name, untested, section="--deploy"):
    """Where the tool is: on the PATH, of the tests' environment, or unpacked into it. Without it the test is skipped, loudly.
    `section`: what of deploy/setup.sh installs it."""
    places = [pathlib.Path(sys.prefix) / "bin" / name, pathlib.Path(sys.prefix) / "unpacked" / "usr" / "bin" / name,
              pathlib.Path(sys.prefix) / "unpacked" / "usr" / "sbin" / name]
    found = shutil.which(name) or next((str(place) for place in places if place.exists()), None)
    if found is None:
        reason = f"{untested}: {name} is missing; deploy/setup.sh {section} installs it"
        warnings.warn(reason)
        pytest.skip(reason)
    return found
