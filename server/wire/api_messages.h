#ifndef HMAR_SERVER_WIRE_API_MESSAGES_H_
#define HMAR_SERVER_WIRE_API_MESSAGES_H_

// From the server's plain structs to the API's messages. Pure functions.

#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "hmar/v1/image_generation.pb.h"
#include "model/engine.h"
#include "server/scheduling/admission.h"
#include "server/scheduling/work.h"
#include "server/wire/request.h"

namespace hmar {

google::protobuf::Duration ToProto(absl::Duration duration);
google::protobuf::Timestamp ToProto(absl::Time time);

// With the mask schedule spelled out.
v1::SamplingParams ToProto(const SamplingParams& sampling);

// `devices`: those that hold the model.
v1::Model ToProto(const EngineInfo& model, absl::Span<const std::string> devices, bool is_default);

v1::Accepted AcceptedMessage(const ResolvedRequest& request, const EngineInfo& model,
                             const Admission& admission);

// The request that asks for image `index` of this one alone, sampled so, but for an edit's upload,
// of which `upload` tells. REQUIRES: `upload` is not null for an edit.
v1::GenerateRequest RequestForAgain(const ResolvedRequest& request, const EngineInfo& model,
                                    uint32_t index, const SamplingParams& sampling,
                                    const UploadRecord* upload);

// What made image `index` of the request, and what it cost. REQUIRES: likewise.
v1::Receipt ReceiptMessage(const ResolvedRequest& request, const EngineInfo& model, uint32_t index,
                           const UploadRecord* upload, const FinishedImage& image,
                           absl::Time finished_at);

// Most bytes that a receipt of such a request takes in a message or as JSON.
size_t MaxReceiptBytes(const ModelConfig& config, const ResolvedRequest& request);

// One line of JSON, field names as in the .proto file; unset fields left out.
std::string ReceiptJson(const v1::Receipt& receipt);

// All of an Image but its picture's bytes and its receipt.
v1::Image ImageMessage(const ResolvedRequest& request, uint32_t index, const FinishedImage& image);

// Fills generated_tokens from the keep map of the image's last scale.
void SetGeneratedTokens(const KeepMap& keep, v1::Image* image);

// All of a Preview but its picture's bytes.
v1::Preview PreviewMessage(const ModelConfig& config, uint32_t index, uint32_t scale);

// A picture's size and format, without its bytes.
v1::Picture PictureMessage(const Picture& picture, const OutputChoice& output);

}  // namespace hmar

#endif  // HMAR_SERVER_WIRE_API_MESSAGES_H_
