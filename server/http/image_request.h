#ifndef HMAR_SERVER_HTTP_IMAGE_REQUEST_H_
#define HMAR_SERVER_HTTP_IMAGE_REQUEST_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "hmar/v1/image_generation.pb.h"
#include "server/http/form_fields.h"
#include "server/wire/model_catalog.h"

namespace hmar {

// What an HTTP request asks for, in the API's terms, and how it wants to be answered.
struct ImageRequest {
  v1::GenerateRequest message;
  bool edit = false;
  bool transparent_mask =
      false;  // The mask has OpenAI's meaning: what is transparent is generated.
  bool stream = false;
  bool own_events = false;  // Our events instead of OpenAI's.
  bool receipt = false;     // Of each image, in the answer.
  absl::Duration timeout = absl::InfiniteDuration();

  // For the answer, which repeats them, and for errors.
  std::string output_format = "png";
  std::string quality = "auto";
  std::string class_field = "prompt";  // Which field has named the class.
};

// What of a form can be told without the model's validation (wire/validation.h), which comes next.
// INVALID_ARGUMENT: every broken rule, an unknown field as well, by the HTTP names of fields; the
// request is filled as far as it goes even then.
absl::Status ReadImageRequest(const FormFields& fields, bool edit, const ModelCatalog& catalog,
                              ImageRequest* request);

}  // namespace hmar

#endif  // HMAR_SERVER_HTTP_IMAGE_REQUEST_H_
