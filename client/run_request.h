#ifndef HMAR_CLIENT_RUN_REQUEST_H_
#define HMAR_CLIENT_RUN_REQUEST_H_

// What `hmar generate` and `hmar edit` have in common: run one request, say how it goes, write what
// comes.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/client.h"
#include "client/command_line.h"
#include "client/exit_code.h"
#include "client/terminal/terminal.h"
#include "hmar/v1/image_generation.pb.h"
#include "model/picture.h"

namespace hmar {

// Where an answer goes.
struct AnswerFiles {
  // The path of the image with this seed, without its end: STEM.png (or .jpg, .webp, by its
  // format), STEM-scale-KK.png for its previews, STEM.json for its receipt.
  std::function<std::string(uint64_t seed)> stem;
  bool writes_previews = true;
  bool sheet_previews = true;        // On the sheet, left of their image.
  std::string sheet;                 // A row an image; empty: none.
  std::vector<std::string> folders;  // Made before anything is sent, where missing; empty: none.

  // The pictures left of an image's previews on the sheet; `pixels` is its finished picture. May be
  // null.
  std::function<absl::StatusOr<std::vector<Picture>>(const v1::Image& image, const Picture& pixels)>
      row_opening;
};

// --previews as the request is to say it: without the flag a terminal that shows progress wants
// fast ones.
std::string PreviewsOf(const RequestFlags& flags, const Terminal& terminal);

// Sends the request, unless it could not be made, and returns when all is written. Progress and
// errors go to standard error, the terminal if it is one, the paths of all files but previews and
// receipts to standard output.
ExitCode RunRequest(const RequestFlags& flags, const AnswerFiles& files,
                    const absl::StatusOr<v1::GenerateRequest>& request, Client& client,
                    Canceller& canceller, Terminal& terminal);

}  // namespace hmar

#endif  // HMAR_CLIENT_RUN_REQUEST_H_
