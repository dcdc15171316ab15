"""What a client finds without knowing anything: models, reflection, health."""
import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from hmar.v1 import image_generation_pb2 as pb

from requests_under_test import PATCH_NUMS
from server_process import READINESS

SERVING = health_pb2.HealthCheckResponse.SERVING


def test_the_bundled_model_is_described(stub):
    models = stub.ListModels(pb.ListModelsRequest()).models
    assert [model.name for model in models] == ["hmar-cifar10"]
    model = models[0]
    assert model == stub.GetModel(pb.GetModelRequest(name="hmar-cifar10")).model
    assert model == stub.GetModel(pb.GetModelRequest()).model
    assert model.architecture == "hmar" and model.is_default
    assert model.image_size == 32 and list(model.patch_nums) == PATCH_NUMS
    assert list(model.classes) == ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
                                   "truck"]
    assert list(model.devices) == ["cpu"] and model.precision == "fp32"
    assert len(model.digest) == 64 and int(model.digest, 16) >= 0
    assert model.parameters > 10_000_000
    assert (model.sampling.cfg_scale, model.sampling.top_k) == (2, 600)
    assert model.sampling.top_p == pytest.approx(0.97)
    assert len(model.sampling.mask_schedule.scales) == len(PATCH_NUMS)


def test_reflection_lists_the_services_and_describes_the_api(server):
    database = ProtoReflectionDescriptorDatabase(server.channel())
    assert {READINESS, "grpc.health.v1.Health"} <= set(database.get_services())
    service = descriptor_pool.DescriptorPool(database).FindServiceByName(READINESS)
    assert [method.name for method in service.methods] == ["Generate", "GenerateImages", "ListModels", "GetModel"]


def test_reflection_describes_every_service_it_lists(server):
    database = ProtoReflectionDescriptorDatabase(server.channel())
    pool = descriptor_pool.DescriptorPool(database)
    described = {name: [method.name for method in pool.FindServiceByName(name).methods]
                 for name in database.get_services()}
    assert described.pop(READINESS)[0] == "Generate"
    assert described == {"grpc.health.v1.Health": ["Check", "Watch"],
                         "grpc.reflection.v1.ServerReflection": ["ServerReflectionInfo"],
                         "grpc.reflection.v1alpha.ServerReflection": ["ServerReflectionInfo"]}


def test_reflection_speaks_its_newer_version_too(server):
    """The messages of both are the same, so those of the old one ask here."""
    ask = server.channel().stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                                         request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
                                         response_deserializer=reflection_pb2.ServerReflectionResponse.FromString)
    requests = [reflection_pb2.ServerReflectionRequest(list_services="*"),
                reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.such.Symbol")]
    listed, unknown = ask(iter(requests), timeout=60)
    assert READINESS in [service.name for service in listed.list_services_response.service]
    assert unknown.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert unknown.original_request == requests[1]


@pytest.mark.parametrize("service", ["", READINESS])
def test_health_is_serving_for_the_process_and_for_readiness(server, service):
    assert server.health().Check(health_pb2.HealthCheckRequest(service=service)).status == SERVING


def test_health_does_not_know_other_services(server):
    with pytest.raises(grpc.RpcError) as error:
        server.health().Check(health_pb2.HealthCheckRequest(service="no.such.Service"))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND


def test_health_watch_starts_with_the_state_of_now(server):
    watch = server.health().Watch(health_pb2.HealthCheckRequest(service=READINESS), timeout=60)
    assert next(watch).status == SERVING
    watch.cancel()
