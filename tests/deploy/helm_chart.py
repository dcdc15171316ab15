"""The chart deploy/helm/hmar-server, rendered by the real helm."""
import re
import subprocess

import yaml

from stubs import REPO
from tools import tool

CHART = REPO / "deploy" / "helm" / "hmar-server"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
NEWEST = "1.37"
UNTESTED = "THE HELM CHART IS NOT TESTED"


def python_of(environment):
    """The Python of one of setup.sh's own virtual environments for tools."""
    return tool(f"../venvs/{environment}/bin/python", UNTESTED)


class HelmChart:
    """helm, on the chart as it lies in the checkout. Release hmar in the namespace imaging."""

    def __init__(self, folder):
        self.program, self.folder = tool("helm", UNTESTED), folder

    def run(self, *arguments):
        """Its exit code, output and errors, without what helm always says of symbolic links."""
        environment = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin"}
        done = subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False,
                              env=environment)
        done.stderr = "".join(line for line in done.stderr.splitlines(True) if "found symbolic link" not in line)
        return done

    def template(self, *arguments, version=NEWEST, chart=CHART, values=None):
        """helm's own answer. `values`: as a mapping, as an operator's file would have them."""
        if values is not None:
            file = self.folder / "values.yaml"
            file.write_text(yaml.safe_dump(values))
            arguments = (*arguments, f"--values={file}")
        return self.run("template", "hmar", chart, "--namespace=imaging", f"--kube-version={version}", *arguments)

    def objects(self, *arguments, **options):
        """All objects of a rendering that must succeed."""
        done = self.template(*arguments, **options)
        assert done.returncode == 0, done.stderr
        return [found for found in yaml.safe_load_all(done.stdout) if found]

    def refusal(self, *arguments, **options):
        """What a rendering that must fail says, on one line."""
        done = self.template(*arguments, **options)
        assert done.returncode != 0, "accepted"
        return " ".join(done.stderr.split())


def only(objects, kind, name=None):
    (found,) = [each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"])]
    return found


def pod_of(objects):
    """The Deployment's pod's spec."""
    return only(objects, "Deployment")["spec"]["template"]["spec"]


def server_of(objects):
    """The container with the server."""
    (found,) = pod_of(objects)["containers"]
    return found


def option_rows(hmar_server):
    """The server's options by name: what they take (as in --help-markdown), their default, their meaning."""
    table = subprocess.run([hmar_server, "--help-markdown"], capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^\| `--([a-z-]+) ?([^`]*)` \| (?:`([^`]*)`)? *\| (.*) \|$", table, re.MULTILINE)
    assert len(rows) == table.count("\n| `--"), "a row that is not understood"
    return {name: (argument, default, meaning) for name, argument, default, meaning in rows}
