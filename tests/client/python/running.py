"""Programs that must succeed, and where the package's sources are."""
import subprocess

from stubs import REPO

PACKAGE = REPO / "client" / "python"


def run(*command, **options):
    """The output; the test fails if the command does."""
    done = subprocess.run([str(part) for part in command], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=300, **options)
    assert done.returncode == 0, done.stdout
    return done.stdout
