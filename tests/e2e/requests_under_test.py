"""Short ways to make requests and to read answers."""
import io

import grpc
import numpy as np
from google.rpc import error_details_pb2, status_pb2
from hmar.v1 import image_generation_pb2 as pb
from PIL import Image

FAST = pb.PreviewOptions.MODE_FAST
FULL = pb.PreviewOptions.MODE_FULL
RGB8 = pb.OutputOptions.FORMAT_RGB8
PATCH_NUMS = [1, 2, 3, 4, 5, 6, 8]  # Of the bundled model.
IMAGE_SIZE = 32


def request(class_name="ship", seed=7, **fields):
    """A quick request of the bundled model. Pass fields of GenerateRequest; class_name=None: no class."""
    return pb.GenerateRequest(**({"class_name": class_name} if class_name else {}), seed=seed, **fields)


def one_pass(**sampling):
    """Sampling with one pass a scale, the fastest."""
    return pb.SamplingParams(mask_schedule=pb.MaskSchedule(preset=pb.MaskSchedule.PRESET_NONE), **sampling)


def images_of(events):
    """The stream's images, by index."""
    return sorted((event.image for event in events if event.WhichOneof("event") == "image"),
                  key=lambda image: image.image_index)


def previews_of(events, image_index=0):
    return [event.preview for event in events
            if event.WhichOneof("event") == "preview" and event.preview.image_index == image_index]


def pixels(picture):
    """Height x width x 3 bytes of a pb.Picture in either format."""
    if picture.format == RGB8:
        array = np.frombuffer(picture.data, np.uint8).reshape(picture.height, picture.width, 3)
    else:
        image = Image.open(io.BytesIO(picture.data))
        assert image.format == "PNG" and image.mode == "RGB"
        array = np.asarray(image)
    assert array.shape == (picture.height, picture.width, 3)
    return array


def tokens_of(image):
    return [list(scale.tokens) for scale in image.tokens]


class CallError:
    """A failed call: code, message and the google.rpc details, which every error must carry."""

    def __init__(self, error):
        self.code = error.code()
        self.message = error.details()
        packed = dict(error.trailing_metadata()).get("grpc-status-details-bin")
        assert packed, f"{self.code} without google.rpc details: {self.message}"
        status = status_pb2.Status.FromString(packed)
        assert status.code == self.code.value[0]
        self.info = self._find(status, error_details_pb2.ErrorInfo)
        self.bad_request = self._find(status, error_details_pb2.BadRequest)
        self.retry_info = self._find(status, error_details_pb2.RetryInfo)
        self.resource_info = self._find(status, error_details_pb2.ResourceInfo)
        assert self.info is not None and self.info.domain == "hmar.v1"

    @staticmethod
    def _find(status, kind):
        for detail in status.details:
            found = kind()
            if detail.Unpack(found):
                return found
        return None

    @property
    def fields(self):
        return [violation.field for violation in self.bad_request.field_violations]


def error_of(call):
    """Runs a call that must fail: call() returns a reply or a stream."""
    try:
        reply = call()
        if hasattr(reply, "__next__"):
            list(reply)
    except grpc.RpcError as error:
        return CallError(error)
    raise AssertionError("the call succeeded")
