"""What a server said it did, in its access log and its metrics, held against what its clients saw. Each check returns
sentences about what does not agree."""
import collections

from prometheus_client.parser import text_string_to_metric_families

LATE_CODES = ("CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")


def samples(text, name):
    """The samples of a scrape by this name: (labels, value)."""
    return [(sample.labels, sample.value) for family in text_string_to_metric_families(text)
            for sample in family.samples if sample.name == name]


def total(text, name, **labels):
    return sum(value for found, value in samples(text, name) if labels.items() <= found.items())


def gauges(text):
    """What rises and falls with the clients: every gauge of the server's own."""
    return {(sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            if family.type == "gauge" and family.name.startswith("hmar_") for sample in family.samples}


def changes(before, after):
    return [f"{' '.join(map(str, key))}: {before.get(key)} before, {after.get(key)} after"
            for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]


def requests_that_disagree(lines, text):
    """Every request has a line and is counted, by model and code."""
    wrong = []
    written = collections.Counter((line["model"] if "model" in line else "", line["code"]) for line in lines)
    counted = {(labels["model"], labels["code"]): int(value)
               for labels, value in samples(text, "hmar_requests_total") if value}
    for key in sorted(written.keys() | counted.keys()):
        if written[key] != counted.get(key, 0):
            wrong.append(f"{key}: {written[key]} lines in the access log, {counted.get(key, 0)} requests in the metrics")
    if lost := total(text, "hmar_log_lines_lost_total"):
        wrong.append(f"{lost} lines of the logs were lost")
    return wrong


def images_that_disagree(lines, text):
    """Every image that was taken in has ended, once: done, failed, cancelled, expired or whatever else there is."""
    wrong = []
    accepted = sum(line["images_accepted"] for line in lines)
    # An edit whose call ended while its upload was on its way into the queue: its line cannot know.
    doubtful = sum(line["images"] for line in lines
                   if line.get("edit") and not line["images_accepted"] and line["code"] in LATE_CODES)
    ended = total(text, "hmar_images_total")
    if not accepted <= ended <= accepted + doubtful:
        wrong.append(f"{accepted} images were accepted (and perhaps {doubtful} more), {ended:.0f} ended")
    whole = [line for line in lines if line["code"] == "OK" and line["images_accepted"]]
    wrong += [f"OK with {line['images_sent']} of {line['images']} images: {line}" for line in whole
              if line["images_sent"] != line["images"]]
    made = sum(total(text, "hmar_images_total", outcome=outcome) for outcome in ("done", "degraded"))
    if made < sum(line["images"] for line in whole):
        wrong.append(f"{sum(line['images'] for line in whole)} images were sent, {made:.0f} made")
    return wrong


def ends_that_disagree(lines, ends):
    """A call whose end is the server's word has a line that says the same; no id has two."""
    wrong = []
    by_id = collections.defaultdict(list)
    for line in lines:
        by_id[line["id"]].append(line)
    for name, end in ends.items():
        found = by_id.get(name, [])
        if len(found) > 1 or (end is not None and not found):
            wrong.append(f"{name}: {len(found)} lines; the client saw {end}")
        elif end is not None and (found[0]["code"], found[0].get("reason")) != end:
            wrong.append(f"{name}: the client saw {end}, the line says {found[0]}")
    return wrong


def load_that_disagrees(lines, ends, nameless, reports):
    """What is no member's was hmar-load's: as many calls by code as it saw, or may have caused."""
    wrong = []
    others = collections.Counter(line["code"] for line in lines if line["id"] not in ends)
    seen, possible = collections.Counter(), nameless
    for report in reports:
        for row in report["metrics"]:
            if row["what"].startswith("requests that ended with "):
                seen[row["what"].split()[-1]] += row["seen"]
            if row["what"] == "requests":
                possible += row["possible"]
    wrong += [f"hmar-load saw {count} calls end with {code}, the access log has {others[code]}"
              for code, count in seen.items() if others[code] < count]
    if not seen.total() <= others.total() <= seen.total() + possible:
        wrong.append(f"{others.total()} lines are nobody's or hmar-load's, which saw {seen.total()};"
                     f" at most {possible} more were possible")
    return wrong
