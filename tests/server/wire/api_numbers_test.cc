// Names and numbers of the API, as they were given: released clients speak by them.

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;

// New rows are added; none is ever changed or taken out.
constexpr char kGiven[] = R"(
GenerateRequest.model = 1, string
GenerateRequest.class_id = 2, uint32
GenerateRequest.class_name = 3, string
GenerateRequest.seed = 4, uint64
GenerateRequest.num_images = 5, uint32
GenerateRequest.sampling = 6, message
GenerateRequest.previews = 7, message
GenerateRequest.output = 8, message
GenerateRequest.edit = 9, message
GenerateRequest.prefix = 10, message
GenerateRequest.scheduling = 11, message
GenerateRequest.request_id = 12, string
GenerateRequest.validate_only = 13, bool
SamplingParams.cfg_scale = 1, float
SamplingParams.top_k = 2, uint32
SamplingParams.top_p = 3, float
SamplingParams.temperature = 4, float
SamplingParams.mask_schedule = 5, message
SamplingParams.max_scales = 6, uint32
MaskSchedule.Preset.PRESET_UNSPECIFIED = 0
MaskSchedule.Preset.PRESET_NONE = 1
MaskSchedule.Preset.PRESET_QUALITY = 2
MaskSchedule.Scale.tokens = 1, repeated uint32
MaskSchedule.preset = 1, enum
MaskSchedule.scales = 2, repeated message
PreviewOptions.Mode.MODE_UNSPECIFIED = 0
PreviewOptions.Mode.MODE_FAST = 1
PreviewOptions.Mode.MODE_FULL = 2
PreviewOptions.mode = 1, enum
PreviewOptions.scales = 2, repeated uint32
OutputOptions.Format.FORMAT_UNSPECIFIED = 0
OutputOptions.Format.FORMAT_PNG = 1
OutputOptions.Format.FORMAT_RGB8 = 2
OutputOptions.Format.FORMAT_JPEG = 3
OutputOptions.Format.FORMAT_WEBP = 4
OutputOptions.format = 1, enum
OutputOptions.png_compression = 2, uint32
OutputOptions.return_tokens = 3, bool
OutputOptions.receipt_in_png = 4, bool
OutputOptions.quality = 5, uint32
OutputOptions.lossless = 6, bool
OutputOptions.embed_receipt = 7, bool
EditOptions.Box.x0 = 1, uint32
EditOptions.Box.y0 = 2, uint32
EditOptions.Box.x1 = 3, uint32
EditOptions.Box.y1 = 4, uint32
EditOptions.Resize.RESIZE_UNSPECIFIED = 0
EditOptions.Resize.RESIZE_COVER = 1
EditOptions.Resize.RESIZE_CONTAIN = 2
EditOptions.image = 1, bytes
EditOptions.box = 2, message
EditOptions.mask = 3, bytes
EditOptions.keep_box = 4, message
EditOptions.resize = 5, enum
EditOptions.composite = 6, bool
EditOptions.feather = 7, uint32
ScalePrefix.tokens = 1, repeated message
ScaleTokens.tokens = 1, repeated uint32
Scheduling.OnDeadline.ON_DEADLINE_UNSPECIFIED = 0
Scheduling.OnDeadline.ON_DEADLINE_FAIL = 1
Scheduling.OnDeadline.ON_DEADLINE_DEGRADE = 2
Scheduling.priority = 1, int32
Scheduling.on_deadline = 2, enum
GenerateResponse.accepted = 1, message
GenerateResponse.preview = 2, message
GenerateResponse.image = 3, message
GenerateResponse.completed = 4, message
Accepted.request_id = 1, string
Accepted.model = 2, string
Accepted.seed = 3, uint64
Accepted.images_ahead = 4, uint32
Accepted.estimated_time = 5, message
Accepted.estimated_gpu_seconds = 6, float
Preview.image_index = 1, uint32
Preview.scale = 2, uint32
Preview.num_scales = 3, uint32
Preview.grid = 4, uint32
Preview.picture = 5, message
Preview.dropped = 6, uint32
Image.image_index = 1, uint32
Image.seed = 2, uint64
Image.picture = 3, message
Image.tokens = 4, repeated message
Image.generated_tokens = 5, repeated bool
Image.degraded = 6, bool
Image.scales_run = 7, uint32
Image.receipt = 8, message
Picture.data = 1, bytes
Picture.format = 2, enum
Picture.width = 3, uint32
Picture.height = 4, uint32
Picture.lossy = 5, bool
Receipt.request_id = 1, string
Receipt.model = 2, string
Receipt.model_digest = 3, string
Receipt.server_version = 4, string
Receipt.seed = 5, uint64
Receipt.sampling = 6, message
Receipt.finished_at = 7, message
Receipt.queued = 8, message
Receipt.ran = 9, message
Receipt.scales = 10, repeated message
Receipt.request = 11, message
Receipt.precision = 12, string
Receipt.edit_image_sha256 = 13, string
Receipt.edit_mask_sha256 = 14, string
Receipt.degraded = 15, bool
ScaleCost.scale = 1, uint32
ScaleCost.passes = 2, uint32
ScaleCost.device_seconds = 3, float
ScaleCost.max_batch_images = 4, uint32
Completed.images = 1, uint32
Completed.queued = 2, message
Completed.total = 3, message
GenerateImagesRequest.request = 1, message
GenerateImagesResponse.accepted = 1, message
GenerateImagesResponse.images = 2, repeated message
GenerateImagesResponse.completed = 3, message
ListModelsResponse.models = 1, repeated message
GetModelRequest.name = 1, string
GetModelResponse.model = 1, message
Model.name = 1, string
Model.architecture = 2, string
Model.digest = 3, string
Model.image_size = 4, uint32
Model.classes = 5, repeated string
Model.patch_nums = 6, repeated uint32
Model.sampling = 7, message
Model.is_default = 8, bool
Model.devices = 9, repeated string
Model.precision = 10, string
Model.parameters = 11, uint64
Model.class_infos = 12, repeated message
ClassInfo.name = 1, string
ClassInfo.aliases = 2, repeated string
)";

void AddEnum(const EnumDescriptor& type, const std::string& scope, std::set<std::string>* rows) {
  for (int i = 0; i < type.value_count(); ++i) {
    rows->insert(absl::StrCat(scope, type.name(), ".", type.value(i)->name(), " = ",
                              type.value(i)->number()));
  }
}

void AddMessage(const Descriptor& type, const std::string& scope, std::set<std::string>* rows) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    rows->insert(absl::StrCat(scope, type.name(), ".", field.name(), " = ", field.number(), ", ",
                              field.is_repeated() ? "repeated " : "", field.type_name()));
  }
  const std::string inner = absl::StrCat(scope, type.name(), ".");
  for (int i = 0; i < type.enum_type_count(); ++i) AddEnum(*type.enum_type(i), inner, rows);
  for (int i = 0; i < type.nested_type_count(); ++i) AddMessage(*type.nested_type(i), inner, rows);
}

TEST(ApiNumbersTest, AreAllThatWereEverGivenAndStayAsTheyWere) {
  std::set<std::string> now;
  const auto* file = v1::GenerateRequest::descriptor()->file();
  for (int i = 0; i < file->message_type_count(); ++i) AddMessage(*file->message_type(i), "", &now);
  const std::vector<std::string> given = absl::StrSplit(kGiven, '\n', absl::SkipEmpty());
  for (const std::string& row : given) EXPECT_EQ(now.count(row), 1u) << "gone or changed: " << row;
  for (const std::string& row : now) {
    EXPECT_THAT(given, ::testing::Contains(row)) << "new: give it a row above";
  }
}

}  // namespace
}  // namespace hmar
