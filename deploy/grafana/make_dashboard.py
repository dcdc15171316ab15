#!/usr/bin/env python3
"""Writes hmar.json, the dashboard that Grafana imports, from the tables below. Run it after a change of them; a test holds
the file against it."""
import itertools
import json
import pathlib

FILE = pathlib.Path(__file__).parent / "hmar.json"
WIDTH = 24  # Of Grafana's grid.
HEIGHT = 8

SERVER = 'job=~"$job", instance=~"$instance"'
MODEL = SERVER + ', model=~"$model"'


def summed(by):
    return f"sum by ({by}) " if by else "sum"


def rate(metric, labels=MODEL, by=""):
    """What a counter gains a second, summed over all but the labels `by`."""
    return f"{summed(by)}(rate({metric}{{{labels}}}[$__rate_interval]))"


def quantile(q, histogram, labels=MODEL, by="model"):
    by = f"{by}, le" if by else "le"
    return f"histogram_quantile({q}, {rate(histogram + '_bucket', labels, by)})"


def mean(histogram, labels=MODEL, by="model, device"):
    return f"{rate(histogram + '_sum', labels, by)} / {rate(histogram + '_count', labels, by)}"


def total(gauge, labels=MODEL, by=""):
    return f"{summed(by)}({gauge}{{{labels}}})"


def quantiles(histogram, legend="{{model}}", qs=(0.5, 0.95, 0.99), **labels):
    return [(quantile(q, histogram, **labels), f"p{q * 100:g} {legend}".strip()) for q in qs]


def panel(title, unit, *targets, kind="timeseries", width=8, stack=False, about=""):
    """`targets`: (expression, legend). `unit` is one of Grafana's names."""
    return {"title": title, "unit": unit, "targets": targets, "kind": kind, "width": width, "stack": stack, "about": about}


def stat(title, unit, expression, legend="", width=4, about=""):
    return panel(title, unit, (expression, legend), kind="stat", width=width, about=about)


ROWS = [
    ("Overview", [
        stat("Servers ready", "short", total("hmar_ready", SERVER), about="Of those that Prometheus reaches."),
        stat("Images a second", "short", rate("hmar_images_total", MODEL + ', outcome=~"done|degraded"')),
        stat("Images waiting", "short", total("hmar_queue_images")),
        stat("Images running", "short", total("hmar_running_images")),
        stat("Clients waiting", "short", total("hmar_waiting_clients", SERVER),
             about="Clients, by key or address, that have images waiting."),
        stat("Faults", "percentunit",
             rate("hmar_requests_total", SERVER + ', code=~"INTERNAL|UNKNOWN|DATA_LOSS"') + " / "
             + rate("hmar_requests_total", SERVER),
             about="Requests that failed by the server's fault. The label model is empty where a request named none."),
        panel("Images by how they ended", "short", (rate("hmar_images_total", by="outcome"), "{{outcome}}"), stack=True),
        panel("Requests by code", "reqps", (rate("hmar_requests_total", SERVER, "code") + " > 0", "{{code}}"), stack=True),
        panel("Busy devices", "percentunit",
              (rate("hmar_device_busy_seconds_total", SERVER, "instance, device"), "{{instance}} {{device}}"),
              about="Share of the time that a device spent in steps and in encoding uploads."),
        panel("Waiting and running", "short", (total("hmar_queue_images", by="model"), "waiting {{model}}"),
              (total("hmar_running_images", by="model"), "running {{model}}")),
        panel("What is served", "none",
              ("count by (model, precision, digest) (hmar_model_info{%s})" % MODEL, "{{model}} {{precision}} {{digest}}"),
              ("count by (version) (hmar_build_info{%s})" % SERVER, "version {{version}}"), kind="table", width=16),
    ]),
    ("Latency", [
        panel("Requests", "s", *quantiles("hmar_request_duration_seconds"), about="From arrival to the end of the stream."),
        panel("Wait for the first step", "s", *quantiles("hmar_queue_duration_seconds"), about="Of images."),
        panel("First preview", "s", *quantiles("hmar_time_to_first_preview_seconds"),
              about="From a request's arrival to its first preview on the wire."),
        panel("Requests by how long they took", "s",
              (rate("hmar_request_duration_seconds_bucket", by="le"), "{{le}}"), kind="heatmap"),
        panel("Truth by estimate", "short", *quantiles("hmar_estimate_ratio", qs=(0.05, 0.5, 0.95)),
              about="How many times as long as Accepted.estimated_time requests took: 1 is exact."),
        panel("Cancel to freed slot", "s", *quantiles("hmar_cancel_release_seconds", qs=(0.5, 0.99))),
    ]),
    ("Batching", [
        panel("Images of a step", "short", (mean("hmar_step_images"), "{{model}} {{device}}")),
        panel("Rows of a step", "short", (mean("hmar_step_tokens"), "{{model}} {{device}}"),
              about="Token rows, with padding; --max-step-rows bounds them."),
        panel("Steps a second", "short", (rate("hmar_step_duration_seconds_count", by="model, device"), "{{model}} {{device}}")),
        panel("Time of a step", "s",
              *quantiles("hmar_step_duration_seconds", "{{model}} {{device}}", (0.5, 0.99), by="model, device")),
        panel("Decoder's part of a step that decodes", "s",
              *quantiles("hmar_decode_duration_seconds", "{{model}} {{device}}", (0.5, 0.99), by="model, device")),
        panel("Encoding a picture", "s", *quantiles("hmar_encode_duration_seconds", "", (0.5, 0.99), labels=SERVER, by=""),
              about="Time to write one."),
    ]),
    ("Device time by scale", [
        panel("Device seconds a second", "percentunit", (rate("hmar_scale_device_seconds_total", by="scale"), "scale {{scale}}"),
              stack=True, width=12, about="Where the devices' time goes: steps' time, shared by the rows of each scale."),
        panel("Device time of an image", "s",
              (rate("hmar_scale_device_seconds_total", by="model, device, scale") + " / ignoring (device, scale) group_left () "
               + rate("hmar_images_total", MODEL + ', outcome=~"done|degraded"', "model"), "{{model}} {{device}} scale {{scale}}"),
              stack=True, width=12),
    ]),
    ("Who uses it, where there are keys", [
        panel("Device seconds a second, by key", "percentunit",
              (rate("hmar_principal_device_seconds_total", SERVER, "principal"), "{{principal}}"), stack=True, width=12,
              about="Images' shares of steps, by the name of the key that asked for them."),
        panel("Images by key", "short", (rate("hmar_principal_images_total", SERVER, "principal"), "{{principal}}"), stack=True,
              width=12),
    ]),
    ("Editing", [
        panel("Edited images", "short", (rate("hmar_upload_lookups_total", by="outcome"), "tokens: {{outcome}}"), stack=True,
              about="hit: the uploaded picture's tokens were known already."),
        panel("Time to read an upload", "s", *quantiles("hmar_upload_read_duration_seconds", "", labels=SERVER, by=""),
              about="Files to pixels in the model's size."),
        panel("Time to encode uploads", "s",
              *quantiles("hmar_upload_encode_duration_seconds", "{{model}} {{device}}", (0.5, 0.99), by="model, device"),
              about="Pixels to tokens, a batch."),
    ]),
    ("Refusals and losses", [
        panel("Requests refused", "reqps", (rate("hmar_admission_rejected_total", SERVER, "reason"), "{{reason}}"), stack=True),
        panel("Images not made, or made early", "short",
              (rate("hmar_images_total", MODEL + ', outcome!="done"', "outcome"), "{{outcome}}"), stack=True),
        panel("Previews", "short", (rate("hmar_previews_total", by="mode, outcome"), "{{mode}} {{outcome}}"), stack=True),
        panel("Connections", "short", (total("hmar_connections", SERVER, "instance"), "{{instance}}")),
        panel("Connections closed at once", "short", (rate("hmar_connections_refused_total", SERVER, "reason"), "{{reason}}")),
        panel("Log lines lost", "short", (rate("hmar_log_lines_lost_total", SERVER, "instance, log"), "{{instance}} {{log}}")),
    ]),
    ("Memory", [
        panel("Device memory", "bytes",
              (total("hmar_device_memory_bytes", SERVER, "instance, device, kind"), "{{instance}} {{device}} {{kind}}"), stack=True,
              about="What the engines took, by what for. On the CPU slots and class vectors come with the images: this is all of them."),
        panel("Buffers", "percentunit",
              ("hmar_buffer_bytes{%s} / hmar_buffer_limit_bytes{%s}" % (SERVER, SERVER), "{{instance}} {{buffer}}"),
              about="delivery: pictures that clients have not read; encoder: pictures that wait to be encoded; upload: edits' pictures."),
        panel("Processes", "bytes", ("process_resident_memory_bytes{%s}" % SERVER, "{{instance}}")),
        panel("Processors", "short", ("rate(process_cpu_seconds_total{%s}[$__rate_interval])" % SERVER, "{{instance}}"),
              about="Cores in use."),
        panel("Threads", "short", ("process_threads{%s}" % SERVER, "{{instance}}")),
        panel("File descriptors", "percentunit",
              ("process_open_fds{%s} / process_max_fds{%s}" % (SERVER, SERVER), "{{instance}}")),
    ]),
]


def options_of(made):
    if made["kind"] == "stat":
        return {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
    if made["kind"] == "heatmap":
        return {"calculate": False, "yAxis": {"unit": made["unit"]}}
    if made["kind"] == "table":
        return {"showHeader": True}
    return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def panel_json(made, number, x, y):
    custom = {"fillOpacity": 20 if made["stack"] else 0, "showPoints": "never",
              "stacking": {"mode": "normal" if made["stack"] else "none"}}
    instant = made["kind"] == "table"
    target = {"table": {"format": "table", "instant": True, "range": False},
              "heatmap": {"format": "heatmap"}}.get(made["kind"], {})
    return {
        "id": number, "type": made["kind"], "title": made["title"], "description": made["about"],
        "datasource": {"type": "prometheus", "uid": "$datasource"},
        "gridPos": {"x": x, "y": y, "w": made["width"], "h": 4 if made["kind"] == "stat" else HEIGHT},
        "fieldConfig": {"defaults": {"unit": made["unit"], "min": 0, **({} if instant else {"custom": custom})}, "overrides": []},
        "options": options_of(made),
        "targets": [{"refId": chr(ord("A") + i), "expr": expression, "legendFormat": legend, **target}
                    for i, (expression, legend) in enumerate(made["targets"])],
    }


def layout(rows):
    """Panels from left to right and from top to bottom, each row of the dashboard under its heading."""
    numbers = itertools.count(1)
    y = 0
    for title, panels in rows:
        yield {"id": next(numbers), "type": "row", "title": title, "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}}
        y, x, height = y + 1, 0, 0
        for made in panels:
            if x + made["width"] > WIDTH:
                x, y, height = 0, y + height, 0
            placed = panel_json(made, next(numbers), x, y)
            height = max(height, placed["gridPos"]["h"])
            x += made["width"]
            yield placed
        y += height


def variable(name, label, query):
    return {"name": name, "label": label, "type": "query", "query": {"query": query, "refId": name},
            "datasource": {"type": "prometheus", "uid": "$datasource"}, "refresh": 2, "sort": 1, "multi": True,
            "includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}}


def dashboard():
    return {
        "title": "hmar-server", "uid": "hmar-server", "tags": ["hmar"], "schemaVersion": 38, "version": 1, "editable": True,
        "time": {"from": "now-1h", "to": "now"}, "refresh": "10s", "graphTooltip": 1,
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
            variable("job", "Job", "label_values(hmar_build_info, job)"),
            variable("instance", "Server", 'label_values(hmar_build_info{job=~"$job"}, instance)'),
            variable("model", "Model", "label_values(hmar_model_info{%s}, model)" % SERVER),
        ]},
        "panels": list(layout(ROWS)),
    }


def text():
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
