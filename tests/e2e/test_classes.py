"""What classes are called: by name, alias or number, and what is said of what is none of them."""
import json
import subprocess

import grpc
import pytest
from hmar.v1 import image_generation_pb2 as pb

from requests_under_test import error_of, images_of, one_pass, request

ALIASES = {"airplane": ["plane", "aeroplane", "jet"], "automobile": ["car", "motor car"], "truck": ["lorry", "motor car"]}


def class_of(stub, text):
    """The class that an image was made of, by its receipt."""
    image, = images_of(stub.Generate(request(text, sampling=one_pass())))
    return image.receipt.request.class_id


def complaint_of(stub, text):
    error = error_of(lambda: stub.Generate(pb.GenerateRequest(class_name=text)))
    assert (error.code, error.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNKNOWN_CLASS")
    violation, = error.bad_request.field_violations
    assert violation.field == "class_name" and violation.description in error.message
    return violation.description


@pytest.fixture(scope="module")
def named(hmar_server, model_folder, tmp_path_factory):
    """A server of the bundled model whose classes have aliases."""
    from server_process import ServerProcess

    folder = tmp_path_factory.mktemp("named")
    for weights in model_folder.glob("*.safetensors"):
        (folder / weights.name).symlink_to(weights)
    config = json.loads((model_folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"class_aliases": ALIASES}))
    with ServerProcess(hmar_server, [f"--model=named={folder}"], tmp_path_factory.mktemp("server")) as running:
        running.wait_until_ready()
        yield running


@pytest.mark.parametrize("text", ["ship", "Ship", "SHIP", " ship\n", "8", "08"])
def test_a_class_is_found_by_name_or_number(stub, text):
    assert class_of(stub, text) == 8


def test_a_class_is_the_same_whatever_it_is_called(stub):
    by_id, = images_of(stub.Generate(request(None, class_id=8, sampling=one_pass())))
    by_name, = images_of(stub.Generate(request("SHIP", sampling=one_pass())))
    assert by_id.picture.data == by_name.picture.data


@pytest.mark.parametrize("text, wanted", [("Plane", 0), ("AEROPLANE", 0), ("motor-car", None), ("Car", 1), ("LORRY", 9),
                                          ("airplane", 0), ("0", 0)])
def test_a_class_is_found_by_alias(named, text, wanted):
    if wanted is None:
        assert complaint_of(named.stub(), text).endswith('2 classes called "motor-car": "automobile" (1), "truck" (9)')
    else:
        assert class_of(named.stub(), text) == wanted


def test_models_carry_what_classes_are_called(named, stub):
    model = named.stub().GetModel(pb.GetModelRequest()).model
    assert model == named.stub().ListModels(pb.ListModelsRequest()).models[0]
    assert [info.name for info in model.class_infos] == list(model.classes)
    assert {info.name: list(info.aliases) for info in model.class_infos if info.aliases} == ALIASES
    bundled = stub.GetModel(pb.GetModelRequest()).model
    assert [(info.name, list(info.aliases)) for info in bundled.class_infos] == [(name, []) for name in bundled.classes]


def test_an_unknown_class_names_the_three_nearest(named, stub):
    assert complaint_of(stub, "hors") == ('model hmar-cifar10 has no class "hors"; the nearest are "horse", "bird", "dog"; '
                                          'it has 10 classes, from 0')
    assert 'the nearest are "aeroplane" ("airplane"), ' in complaint_of(named.stub(), "aeroplan")


@pytest.mark.parametrize("text", ["", " ", "-1", "+1", "10", "4294967296", "0x8", "8.0", "sh\0ip", "\u202eship", "\U0001f6a2" * 64,
                                  "x" * 256, "n" * 4_000_000], ids=range(13))
def test_whatever_is_no_class_is_refused_in_a_few_words(stub, text):
    complaint = complaint_of(stub, text)
    assert len(complaint) <= 400 and complaint.isascii()
    assert ("nearest" in complaint) == (len(text.encode()) <= 256)


def test_hmar_takes_and_lists_what_classes_are_called(named, hmar, tmp_path):
    def run_hmar(*arguments):
        return subprocess.run([hmar, "--server", named.address, *arguments], capture_output=True, text=True, timeout=180, check=True)

    run_hmar("generate", "--class", "LORRY", "--seed", "3", "--schedule", "none", "--receipt", "--out", tmp_path)
    assert json.loads((tmp_path / "image-3.json").read_text())["request"]["class_id"] == 9
    listed = run_hmar("models", "--classes")
    assert listed.stdout.splitlines()[:3] == ["named", "     0  airplane: plane, aeroplane, jet", "     1  automobile: car, motor car"]
