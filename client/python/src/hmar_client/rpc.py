"""The API's methods: path, then how to write a request and read a reply. For a channel of either kind: unary_unary(*METHOD)."""
from __future__ import annotations

from grpc_health.v1 import health_pb2

from hmar.v1 import image_generation_pb2 as pb

SERVICE = "hmar.v1.ImageGenerationService"

GENERATE = (f"/{SERVICE}/Generate", pb.GenerateRequest.SerializeToString, pb.GenerateResponse.FromString)
GENERATE_IMAGES = (f"/{SERVICE}/GenerateImages", pb.GenerateImagesRequest.SerializeToString, pb.GenerateImagesResponse.FromString)
LIST_MODELS = (f"/{SERVICE}/ListModels", pb.ListModelsRequest.SerializeToString, pb.ListModelsResponse.FromString)
GET_MODEL = (f"/{SERVICE}/GetModel", pb.GetModelRequest.SerializeToString, pb.GetModelResponse.FromString)
HEALTH = ("/grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest.SerializeToString,
          health_pb2.HealthCheckResponse.FromString)
