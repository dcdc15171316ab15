#ifndef HMAR_CLIENT_PROGRESS_H_
#define HMAR_CLIENT_PROGRESS_H_

// What `hmar generate` and `hmar edit` say while a stream runs: one line an event, without a line
// end, fit to print whatever the server sent (client/printable.h).

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "hmar/v1/image_generation.pb.h"

namespace hmar {

// A protobuf duration as absl has it.
absl::Duration ToAbsl(const google::protobuf::Duration& duration);

// "request r-1: hmar-cifar10, seed 7, 0 images ahead, about 0.40 s"
std::string AcceptedLine(const v1::Accepted& accepted);

// How an image stands: "scale 3/7  3 x 3  0.12 s", with a note where the server left previews out
// because this client read too slowly; "done  seed 8  0.31 s", with notes of how much of the
// picture an edit generated, and where the deadline cut the image short.
std::string PreviewState(const v1::Preview& preview, absl::Duration elapsed);
std::string ImageState(const v1::Image& image, absl::Duration elapsed);

// The same as a line of its own: "image 2/4  scale 3/7  3 x 3  0.12 s".
std::string PreviewLine(const v1::Preview& preview, uint32_t images, absl::Duration elapsed);
std::string ImageLine(const v1::Image& image, uint32_t images, absl::Duration elapsed);

// "4 images in 0.52 s, of which 0.01 s in the queue"
std::string CompletedLine(const v1::Completed& completed);

// "UNAVAILABLE: the server is going down [DRAINING]; trying again in 0.24 s"
std::string RetryLine(const absl::Status& failure, absl::Duration wait);

}  // namespace hmar

#endif  // HMAR_CLIENT_PROGRESS_H_
