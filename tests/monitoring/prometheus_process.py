"""A real Prometheus under test: it scrapes what it is told to, and answers queries."""
import json
import re
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import yaml

GENEROUS_SECONDS = 180  # A limit for waits that end in seconds on a calm machine.


class PrometheusProcess:
    """Runs the configuration of deploy/prometheus against other targets, faster, on a free port of this host."""

    def __init__(self, program, config_file, targets, folder):
        config = yaml.safe_load(config_file.read_text())
        config["global"] = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
        config["rule_files"] = [str(config_file.parent / name) for name in config["rule_files"]]
        (scrape,) = config["scrape_configs"]
        scrape["static_configs"] = [{"targets": targets}]
        ours = folder / "prometheus.yml"
        ours.write_text(yaml.safe_dump(config))
        self.lines = []
        self.process = subprocess.Popen(
            [program, f"--config.file={ours}", f"--storage.tsdb.path={folder / 'data'}", "--web.listen-address=127.0.0.1:0"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.address = None
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r'msg="Listening on" address=(\S+)', line)
            if found:
                self.address = found[1]
            if "Server is ready to receive web requests" in line:
                self._ready.set()
        self._ready.set()  # Ended.

    def _get(self, path, **parameters):
        assert self._ready.wait(GENEROUS_SECONDS) and self.address, "".join(self.lines)
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=GENEROUS_SECONDS) as response:
            answer = json.load(response)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression):
        """The values of an instant query's series. An HTTPError for an expression that is wrong."""
        data = self._get("query", query=expression)
        return [float(sample["value"][1]) for sample in data["result"]]

    def wait_for(self, expression, predicate):
        """Asks until the list of values satisfies the predicate; whether it ever did, and the last list."""
        deadline = time.monotonic() + GENEROUS_SECONDS
        while True:
            values = self.query(expression)
            if predicate(values):
                return True, values
            if time.monotonic() > deadline:
                return False, values

    def series(self, selector):
        return self._get("series", **{"match[]": selector})

    def evaluated_rules(self):
        """All rules, once each has been evaluated."""
        deadline = time.monotonic() + GENEROUS_SECONDS
        while True:
            rules = [rule for group in self._get("rules")["groups"] for rule in group["rules"]]
            if all(rule["health"] != "unknown" for rule in rules):
                return rules
            assert time.monotonic() < deadline, f"not evaluated: {rules}"

    def stop(self):
        self.process.terminate()
        self.process.wait(GENEROUS_SECONDS)
        self._reader.join(GENEROUS_SECONDS)
