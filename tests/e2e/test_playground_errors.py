"""What the playground says when something is wrong: sentences, with what to do. Answers that a calm server does not give are made
here, in the API's own shape."""
import hashlib
import json

import pytest

from playground_browser import Site

DONE = "#runs > article:first-child"
GENERATIONS = "**/v1/images/generations"


def refuse(playground, pattern, status, times=None, headers=None, **error):
    """Answers the next requests to this path with an error."""
    playground.refusals_expected = True
    body = json.dumps({"error": {"type": "server_error", "param": None, "violations": [], "retry_after": None, **error}})
    playground.page.route(pattern, lambda route: route.fulfill(
        status=status, body=body, headers={"content-type": "application/json", **(headers or {})}), times=times)


def problem(playground):
    playground.finished(DONE, "failed")
    return playground.page.locator(f"{DONE} .problem")


def test_a_refusal_of_the_server_is_a_sentence(playground, screenshot):
    playground.refusals_expected = True
    playground.page.select_option("#schedule", "custom")
    playground.fill(custom="[[1],[1,3]]")
    playground.page.click("#draw-button")
    text = problem(playground).locator("[role=alert]").text_content()
    assert text == "Schedule: has 2 entries; the model has 7 scales. Change it and draw again."
    screenshot(playground, "refused")


def test_an_unknown_class_is_a_sentence(playground):
    playground.refusals_expected = True
    playground.fill(**{"class": "zeppelin"})
    playground.page.click("#draw-button")
    text = problem(playground).locator("[role=alert]").text_content()
    assert "zeppelin" in text and text.endswith("Choose one from the list of classes.")


@pytest.mark.parametrize("field, value", [("seed", str(2**64)), ("custom", "[[1],[0]]"), ("count", "0"), ("top_p", "1.5")])
def test_what_no_server_takes_is_not_sent(playground, field, value):
    if field == "custom":
        playground.page.select_option("#schedule", "custom")
    playground.fill(**{field: value})
    playground.page.click("#draw-button")
    assert playground.page.evaluate("document.querySelector('#draw :invalid:not(details, fieldset)').id") == field
    assert playground.page.locator("#runs article").count() == 0


def test_the_time_until_another_try_counts_down(playground):
    refuse(playground, GENERATIONS, 429, times=1, message="1024 images of this client wait, of at most 1024",
           reason="CLIENT_QUEUE_FULL", retry_after=1.2)
    playground.page.click("#draw-button")
    shown = problem(playground)
    assert shown.locator("strong").text_content() == "1024 images of this client wait, of at most 1024."
    assert shown.locator("button").text_content() == "Try again in 2 s" and shown.locator("button").is_disabled()
    shown.get_by_role("button", name="Try again", exact=True).click()
    playground.finished(DONE)


def test_the_header_is_believed_where_the_body_names_no_time(playground):
    refuse(playground, GENERATIONS, 503, message="not ready", reason="NOT_READY", headers={"retry-after": "30"})
    playground.page.click("#draw-button")
    assert problem(playground).locator("button").text_content() == "Try again in 30 s"


def test_what_a_proxy_says_is_no_json(playground):
    playground.refusals_expected = True
    playground.page.route(GENERATIONS, lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    playground.page.click("#draw-button")
    text = problem(playground).locator("[role=alert]").text_content()
    assert text.startswith("The server answered with status 502. ") and playground.page.locator("#runs h1").count() == 0


def test_a_servers_text_is_text(playground):
    refuse(playground, GENERATIONS, 400, message="<img src=x onerror=alert(1)>", reason="FIELD_CONFLICT",
           violations=[{"field": "sampling.top_k", "reason": "", "message": f"<b>{i}</b>"} for i in range(2)])
    playground.page.click("#draw-button")
    shown = problem(playground)
    assert shown.locator("strong").text_content() == "<img src=x onerror=alert(1)>."
    assert shown.locator("li").all_text_contents() == ["Top k: <b>0</b>", "Top k: <b>1</b>"]


def test_no_server_is_a_sentence(playground):
    playground.refusals_expected = True
    playground.page.route(GENERATIONS, lambda route: route.abort("connectionrefused"))
    playground.page.click("#draw-button")
    assert problem(playground).locator("[role=alert]").text_content() == (
        "The server cannot be reached. Check that it runs and that you are connected, then try again.")


def stream(*events):
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


ACCEPTED = {"type": "hmar.accepted", "request_id": "r", "model": "m", "seed": "18446744073709551615", "images_ahead": 3,
            "estimated_time": 12.0, "estimated_gpu_seconds": 1.0}


@pytest.mark.parametrize("body, sentence", [
    (stream(ACCEPTED, {"type": "error", "error": {"message": "a device hangs", "reason": "DEVICE_LOST"}}), "A device hangs."),
    (stream(ACCEPTED), "The connection ended before the last picture."),
    (stream(ACCEPTED) + "data: {\n\n", "The connection broke before the last picture."),
    (stream(ACCEPTED, {"type": "hmar.image", "image_index": 0, "seed": "1", "b64_json": "?"}), None),
])
def test_a_stream_that_fails_on_the_way_is_a_sentence(playground, body, sentence):
    playground.page.route(GENERATIONS, lambda route: route.fulfill(body=body, headers={"content-type": "text/event-stream"}))
    playground.fill(count=2)
    playground.page.click("#draw-button")
    said = problem(playground).locator("strong").text_content()
    assert said == sentence if sentence else said.startswith("This page cannot read the answer: ")
    if not sentence:
        return
    seeds = playground.page.locator("#runs .seed").all_text_contents()
    assert seeds == [f"Seed {2**64 - 1}", "Seed 0"], "seeds are of 64 bits, and go round"


def test_the_place_in_line_and_the_time_are_told(playground):
    lines = playground.page.evaluate("""async (accepted) => {
      const { waitingLine } = await import('/run_view.js');
      const at = { ahead: accepted.images_ahead, seconds: accepted.estimated_time, at: 1000 };
      return [waitingLine(at, 1000), waitingLine(at, 9500), waitingLine({ ...at, ahead: 0 }, 20000)];
    }""", ACCEPTED)
    assert lines == ["3 pictures ahead in line; about 12 s left.", "3 pictures ahead in line; about 3.5 s left.",
                     "Drawing; any moment now."]


def test_a_key_is_asked_for_and_sent(visit):
    playground = visit()
    sent = []

    def door(route):
        sent.append(route.request.headers.get("authorization"))
        if sent[-1] == "Bearer open-sesame":
            return route.fallback()
        reason = "KEY_UNKNOWN" if sent[-1] else "KEY_MISSING"
        return route.fulfill(status=401, json={"error": {"message": "no such key", "reason": reason}})

    playground.refusals_expected = True
    playground.page.route("**/v1/**", door)
    playground.page.reload()
    for key in ("wrong", "open-sesame"):
        playground.page.wait_for_selector("#key[open]")
        playground.page.fill("#key-value", key)
        playground.page.press("#key-value", "Enter")
    playground.page.wait_for_selector("#draw-button:not(:disabled)")
    playground.draw("ship")
    assert sent == [None, "Bearer wrong", "Bearer open-sesame", "Bearer open-sesame"]
    assert playground.page.get_attribute("#key-value", "type") == "password"
    assert playground.page.evaluate("[sessionStorage.length, localStorage.length]") == [1, 0]
    playground.open_first()
    playground.page.click("#tab-commands")
    commands = playground.page.text_content("#panel-commands")
    assert "$HMAR_KEY" in commands and "sesame" not in commands


def test_a_server_with_keys(visit, start_server, model_folder, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(f'[[key]]\nname = "alice"\nsha256 = "{hashlib.sha256(b"open-sesame").hexdigest()}"\n')
    server = start_server(f"--model=hmar-cifar10={model_folder}", "--http=127.0.0.1:0", f"--keys={keys}")
    server.wait_until_ready()
    playground = visit(at=Site(f"http://127.0.0.1:{server.http_port}", server.address), asks_for_key=True)
    playground.page.fill("#key-value", "sesame")
    playground.page.press("#key-value", "Enter")
    playground.page.get_by_text("Who runs it can give you one.").wait_for(state="hidden")
    playground.page.wait_for_selector("#key[open]")
    playground.page.fill("#key-value", "open-sesame")
    playground.page.press("#key-value", "Enter")
    playground.page.wait_for_selector("#draw-button:not(:disabled)")
    playground.draw("ship")
    assert "sesame" not in server.output


def test_without_a_key_the_page_says_so(visit):
    playground = visit()
    refuse(playground, "**/v1/models", 401, message="this server asks for a key", reason="KEY_MISSING")
    playground.page.reload()
    playground.page.click("#key-cancel")
    assert playground.page.text_content("#notices strong") == "This server asks for a key."
    assert playground.page.is_disabled("#draw-button")
