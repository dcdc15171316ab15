#!/usr/bin/env python3
"""Writes the API's reference, made of the comments of hmar/v1/image_generation.proto, into proto/README.md, between the
lines <!-- reference --> and <!-- /reference -->. A declaration without a comment is an error. tests/deploy/test_reference.py
compares. Needs grpcio-tools: "$(deploy/setup.sh --print-python)" proto/make_reference.py"""
import importlib.resources
import pathlib
import re
import sys
import tempfile
import textwrap
from collections.abc import Iterator

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto

FOLDER = pathlib.Path(__file__).resolve().parent
PROTO = "hmar/v1/image_generation.proto"
PAGE = FOLDER / "README.md"
BEGIN, END = "<!-- reference -->", "<!-- /reference -->"
COLUMNS = 140

Path = tuple[int, ...]
# Numbers of what descriptor.proto nests: a path of them leads to a declaration's comments.
MESSAGES, ENUMS, SERVICES, METHODS, VALUES = 4, 5, 6, 2, 2
FIELDS, NESTED_MESSAGES, NESTED_ENUMS, ONEOFS = 2, 3, 4, 8


def read_api() -> FileDescriptorProto:
    """The file's descriptor with its comments, as protoc has it."""
    from grpc_tools import protoc

    well_known = importlib.resources.files("grpc_tools") / "_proto"
    with tempfile.TemporaryDirectory() as folder:
        made = pathlib.Path(folder) / "api.binpb"
        if protoc.main(["protoc", f"-I{FOLDER}", f"-I{well_known}", "--include_source_info", f"--descriptor_set_out={made}", PROTO]):
            raise SystemExit(f"protoc cannot read {PROTO}")
        return descriptor_pb2.FileDescriptorSet.FromString(made.read_bytes()).file[0]


class Comments:
    """What is said of each declaration, before it and behind it, as one paragraph or several."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._of: dict[Path, list[str]] = {}
        self.missing: list[str] = []
        for location in file.source_code_info.location:
            parts = [part for part in (location.leading_comments, location.trailing_comments) if part.strip()]
            self._of[tuple(location.path)] = [" ".join(paragraph.split()) for part in parts for paragraph in re.split(r"\n\s*\n", part)]

    def of(self, path: Path, name: str) -> list[str]:
        paragraphs = self._of.get(path, [])
        if not paragraphs:
            self.missing.append(name)
        return [escaped(paragraph) for paragraph in paragraphs]

    def cell(self, path: Path, name: str) -> str:
        return " ".join(self.of(path, name)).replace("|", "\\|")


def escaped(text: str) -> str:
    """Names with underscores as code; what Markdown or HTML would take for its own, as it is."""
    return re.sub(r"(`[^`]*`)|(--[a-z-]+|\b(?:\w+\.)*\w*[a-zA-Z]_\w+|\b(?:[A-Z]\w+|edit|receipt)\.\w+)|(<(?! |=))|(\*(?! ))",
                  lambda found: found[1] or (f"`{found[2]}`" if found[2] else "&lt;" if found[3] else "\\*"), text)


def anchor(name: str) -> str:
    return re.sub(r"[^\w -]", "", name).lower().replace(" ", "-")


def short(full_name: str, package: str) -> str:
    return full_name.removeprefix(f".{package}.").removeprefix(".")


def type_of(field: FieldDescriptorProto, package: str) -> str:
    name = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    if field.type_name.startswith(f".{package}."):
        own = short(field.type_name, package)
        name = f"[{own}](#{anchor(own)})"
    elif field.type_name:
        name = f"`{short(field.type_name, package)}`"
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {name}"
    return f"optional {name}" if field.proto3_optional else name


def paragraphs(texts: list[str]) -> Iterator[str]:
    for text in texts:
        yield textwrap.fill(text, COLUMNS, break_long_words=False, break_on_hyphens=False)
        yield ""


class Reference:
    """The pages of a file: services, then every message and enum in the order of the file."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._package = file.package
        self.comments = Comments(file)

    def lines(self) -> Iterator[str]:
        for i in range(len(self._file.service)):
            yield from self._service(i)
        for i, message in enumerate(self._file.message_type):
            yield from self._message(message, (MESSAGES, i), "")
        for i, enum in enumerate(self._file.enum_type):
            yield from self._enum(enum, (ENUMS, i), "")

    def _service(self, index: int) -> Iterator[str]:
        service = self._file.service[index]
        yield f"### {service.name}"
        yield ""
        yield from paragraphs(self.comments.of((SERVICES, index), service.name))
        yield "| Method | Request | Answer | Meaning |"
        yield "|---|---|---|---|"
        for i, method in enumerate(service.method):
            asked, answer = (short(name, self._package) for name in (method.input_type, method.output_type))
            stream = "stream of " if method.server_streaming else ""
            meaning = self.comments.cell((SERVICES, index, METHODS, i), f"{service.name}.{method.name}")
            yield f"| `{method.name}` | [{asked}](#{anchor(asked)}) | {stream}[{answer}](#{anchor(answer)}) | {meaning} |"
        yield ""

    def _message(self, message: DescriptorProto, path: Path, outer: str) -> Iterator[str]:
        name = outer + message.name
        yield f"### {name}"
        yield ""
        yield from paragraphs(self.comments.of(path, name))
        for i, oneof in enumerate(message.oneof_decl):
            fields = [f"`{field.name}`" for field in message.field
                      if field.HasField("oneof_index") and field.oneof_index == i and not field.proto3_optional]
            if fields:
                meaning = " ".join(self.comments.of((*path, ONEOFS, i), f"{name}.{oneof.name}"))
                yield from paragraphs([f"At most one of {', '.join(fields)} is set (`oneof {oneof.name}`). {meaning}"])
        if message.field:
            yield from self._fields(message, path, name)
        for i, enum in enumerate(message.enum_type):
            yield from self._enum(enum, (*path, NESTED_ENUMS, i), f"{name}.")
        for i, nested in enumerate(message.nested_type):
            yield from self._message(nested, (*path, NESTED_MESSAGES, i), f"{name}.")

    def _fields(self, message: DescriptorProto, path: Path, name: str) -> Iterator[str]:
        yield "| Field | Type | Number | Meaning |"
        yield "|---|---|---|---|"
        for i, field in enumerate(message.field):
            meaning = self.comments.cell((*path, FIELDS, i), f"{name}.{field.name}")
            yield f"| `{field.name}` | {type_of(field, self._package)} | {field.number} | {meaning} |"
        yield ""

    def _enum(self, enum: EnumDescriptorProto, path: Path, outer: str) -> Iterator[str]:
        name = outer + enum.name
        yield f"### {name}"
        yield ""
        yield from paragraphs(self.comments.of(path, name))
        yield "| Value | Number | Meaning |"
        yield "|---|---|---|"
        for i, value in enumerate(enum.value):
            yield f"| `{value.name}` | {value.number} | {self.comments.cell((*path, VALUES, i), f'{name}.{value.name}')} |"
        yield ""


def reference(file: FileDescriptorProto) -> str:
    """The reference as Markdown. ValueError: declarations that nothing is said of."""
    made = Reference(file)
    text = "\n".join(made.lines())
    if made.comments.missing:
        raise ValueError(f"without a comment: {', '.join(made.comments.missing)}")
    return text


def with_reference(page: str, text: str) -> str:
    """The page with the text in its place. ValueError: there is no such place, or several."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{PAGE.name} must have {BEGIN} and {END} once each")
    return page[:page.index(BEGIN)] + f"{BEGIN}\n\n{text}\n" + page[page.index(END):]


def main() -> int:
    PAGE.write_text(with_reference(PAGE.read_text(), reference(read_api())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
