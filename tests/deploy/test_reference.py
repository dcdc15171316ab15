"""proto/README.md's reference is what the API's comments say, and every declaration has one."""
import runpy

import pytest

from stubs import REPO

MAKE = runpy.run_path(str(REPO / "proto" / "make_reference.py"))


@pytest.fixture(scope="module")
def api():
    return MAKE["read_api"]()


def comment_of(api, *path):
    return next(location for location in api.source_code_info.location if tuple(location.path) == path)


def test_the_reference_is_what_the_comments_say(api):
    page = MAKE["PAGE"].read_text()
    assert MAKE["with_reference"](page, MAKE["reference"](api)) == page, \
        'run: "$(deploy/setup.sh --print-python)" proto/make_reference.py'


def test_every_declaration_stands_in_it(api):
    text = MAKE["reference"](api)
    for service in api.service:
        assert f"### {service.name}\n" in text
        assert all(f"| `{method.name}` | " in text for method in service.method)
    for message in api.message_type:
        section = text.split(f"### {message.name}\n")[1].split("\n### ")[0]
        assert all(f"| `{field.name}` | " in section and f" | {field.number} | " in section for field in message.field)
        for enum in message.enum_type:
            section = text.split(f"### {message.name}.{enum.name}\n")[1].split("\n### ")[0]
            assert all(f"| `{value.name}` | {value.number} | " in section for value in enum.value)


def test_a_declaration_that_nothing_is_said_of_is_refused_by_its_name(api):
    undocumented = type(api).FromString(api.SerializeToString())
    field = next(i for i, each in enumerate(undocumented.message_type[0].field) if each.name == "num_images")
    location = comment_of(undocumented, MAKE["MESSAGES"], 0, MAKE["FIELDS"], field)
    location.ClearField("leading_comments")
    location.ClearField("trailing_comments")
    with pytest.raises(ValueError, match=r"without a comment: GenerateRequest\.num_images$"):
        MAKE["reference"](undocumented)


def test_a_comment_that_markdown_would_read_comes_out_as_text(api):
    changed = type(api).FromString(api.SerializeToString())
    location = comment_of(changed, MAKE["MESSAGES"], 0)
    location.leading_comments = " <b>, a*b, a < b, top_k | `kept_code`\n"
    assert "\n&lt;b>, a\\*b, a < b, `top_k` | `kept_code`\n" in MAKE["reference"](changed)


@pytest.mark.parametrize("page", ["", "<!-- reference -->\n", "<!-- reference --><!-- /reference -->" * 2])
def test_a_page_without_one_place_for_it_is_refused(page):
    with pytest.raises(ValueError, match="once each"):
        MAKE["with_reference"](page, "text")
