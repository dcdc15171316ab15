"""gRPC as others have written it, over TLS and with a key: Go's (grpcurl), pure Python's (grpclib) and Java's."""
import asyncio
import base64
import functools
import json
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import types
import warnings

import grpc
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from hmar.v1 import image_generation_pb2 as pb
from hmar.v1 import image_generation_pb2_grpc

from authority import Authority
from keys_file import Keys
from requests_under_test import FAST, images_of, previews_of, request
from stubs import REPO

METHOD = "hmar.v1.ImageGenerationService/Generate"
PREVIEWED = request(num_images=2, previews=pb.PreviewOptions(mode=FAST), output=pb.OutputOptions(return_tokens=True))
WRONG = request(class_name="teapot")
JARS = pathlib.Path("/usr/share/java")
JNI = pathlib.Path("/usr/lib")
CLASSES = ["grpc-[acnps]*", "netty-*", "guava", "gson", "perfmark-api", "protobuf", "geronimo-annotation-1.3-spec"]


@pytest.fixture(scope="module")
def site(hmar_server, hmar, model_folder, tmp_path_factory):
    """.address, .ca (a file), .key, .events: what Python's grpcio has for PREVIEWED."""
    from server_process import ServerProcess

    folder = tmp_path_factory.mktemp("stacks")
    authority = Authority(folder / "authority")
    files, keys = authority.issue(), Keys(hmar, folder / "keys.toml").add("guest").write()
    flags = [f"--model=hmar-cifar10={model_folder}", f"--tls-cert={files.cert}", f"--tls-key={files.key}", f"--keys={keys.file}"]
    with ServerProcess(hmar_server, flags, folder) as server:
        server.wait_for_line("ready")
        address = f"localhost:{server.port}"
        with grpc.secure_channel(address, grpc.ssl_channel_credentials(authority.file.read_bytes())) as channel:
            stub = image_generation_pb2_grpc.ImageGenerationServiceStub(channel)
            events = list(stub.Generate(PREVIEWED, metadata=keys.of("guest"), timeout=120))
        java = folder / "java"
        java.mkdir()
        yield types.SimpleNamespace(folder=java, address=address, port=server.port, ca=authority.file, key=keys.keys["guest"],
                                    events=events)


def grpcurl(site, message, key, folder):
    """Go's: it asks reflection what the API is. JSON in, JSON out."""
    ended = subprocess.run(
        [pathlib.Path(sys.prefix) / "bin" / "grpcurl", "-cacert", site.ca, "-H", f"authorization: Bearer {key}",
         "-max-msg-sz", str(64 << 20), "-format-error", "-d", json_format.MessageToJson(message), site.address, METHOD],
        capture_output=True, text=True, timeout=120)
    events, rest, decoder = [], ended.stdout.lstrip(), json.JSONDecoder()
    while rest:
        event, end = decoder.raw_decode(rest)
        events.append(json_format.ParseDict(event, pb.GenerateResponse()))
        rest = rest[end:].lstrip()
    if ended.returncode == 0:
        return events, ("OK", "")
    error = json.loads(ended.stderr)
    info = next(detail for detail in error["details"] if detail["@type"].endswith("google.rpc.ErrorInfo"))
    # It gives details that it does not know as they are on the wire.
    reason = info.get("reason") or error_details_pb2.ErrorInfo.FromString(base64.b64decode(info["@value"])).reason
    return events, (grpc_code_name(error["code"]), reason)


def grpc_code_name(number):
    return next(code.name for code in grpc.StatusCode if code.value[0] == number)


def grpclib(site, message, key, folder):
    """HTTP/2 by h2, not by a gRPC library of Google's."""
    from grpclib import client, exceptions

    async def call():
        events, context = [], ssl.create_default_context(cafile=site.ca)
        context.set_alpn_protocols(["h2"])
        channel = client.Channel("localhost", site.port, ssl=context)
        try:
            generate = client.UnaryStreamMethod(channel, f"/{METHOD}", pb.GenerateRequest, pb.GenerateResponse)
            async with generate.open(timeout=120, metadata={"authorization": f"Bearer {key}"}) as stream:
                await stream.send_message(message, end=True)
                async for event in stream:
                    events.append(event)
        except exceptions.GRPCError as error:
            info = next(detail for detail in error.details if isinstance(detail, error_details_pb2.ErrorInfo))
            return events, (error.status.name, info.reason)
        finally:
            channel.close()
        return events, ("OK", "")

    return asyncio.run(call())


@functools.cache
def java_classpath(folder):
    """The guest, compiled into the folder, and what it is linked with. Debian's netty does TLS with ALPN by its native library
    alone, and loads that by another name than Debian's."""
    needed = [*map(shutil.which, ("javac", "grpc_java_plugin", "protoc"))]
    if None in needed or not (JARS / "grpc-netty.jar").exists() or not (tls := [*JNI.glob("*/jni/libnetty-tcnative.so")]):
        reason = "JAVA'S GRPC IS NOT TESTED: deploy/setup.sh --java installs it"
        warnings.warn(reason)
        pytest.skip(reason)
    jars = sorted({jar.resolve() for pattern in CLASSES for jar in JARS.glob(f"{pattern}.jar")})
    classpath = ":".join(map(str, [folder, *jars]))
    rpc = pathlib.Path(status_pb2.__file__).parent
    subprocess.run(["protoc", f"-I{REPO / 'proto'}", f"-I{rpc.parent.parent}", f"--java_out={folder}", f"--grpc-java_out={folder}",
                    f"--plugin=protoc-gen-grpc-java={needed[1]}", "hmar/v1/image_generation.proto", "google/rpc/status.proto",
                    "google/rpc/error_details.proto"], check=True)
    sources = [*folder.rglob("*.java"), REPO / "tests" / "e2e" / "java" / "Guest.java"]
    subprocess.run(["javac", "-nowarn", "-cp", classpath, "-d", folder, *sources], check=True)
    shutil.copy(tls[0], folder / "libnetty_tcnative.so")
    return classpath


def java(site, message, key, folder):
    """Java's gRPC over netty, from Debian."""
    classpath = java_classpath(site.folder)
    (folder / "request").write_bytes(message.SerializeToString())
    told = subprocess.run(["java", "-cp", classpath, "Guest", site.address, site.ca, key, folder / "request", folder / "events"],
                          env={**os.environ, "LD_LIBRARY_PATH": str(site.folder)}, stdout=subprocess.PIPE, text=True, timeout=120,
                          check=True)
    return list(delimited((folder / "events").read_bytes())), tuple(told.stdout.splitlines()[-1].split(" "))


def delimited(data):
    """The messages of a file that has each after its length, a varint."""
    while data:
        length = shift = 0
        while True:
            byte, data = data[0], data[1:]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        yield pb.GenerateResponse.FromString(data[:length])
        data = data[length:]


@pytest.mark.parametrize("stack", [grpcurl, grpclib, java])
def test_another_stack_gets_the_same_bytes_and_the_same_reasons(stack, site, tmp_path):
    events, ended = stack(site, PREVIEWED, site.key, tmp_path)
    assert ended == ("OK", "")
    assert [event.WhichOneof("event") for event in events][0::len(events) - 1] == ["accepted", "completed"]
    for got, wanted in zip(images_of(events), images_of(site.events), strict=True):
        assert (got.picture, got.tokens, got.seed) == (wanted.picture, wanted.tokens, wanted.seed)
    assert [preview.picture for preview in previews_of(events)] == [preview.picture for preview in previews_of(site.events)] != []
    assert stack(site, WRONG, site.key, tmp_path) == ([], ("INVALID_ARGUMENT", "UNKNOWN_CLASS"))
    assert stack(site, PREVIEWED, "hmar_sesame", tmp_path) == ([], ("UNAUTHENTICATED", "KEY_UNKNOWN"))
