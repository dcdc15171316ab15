// `hmar generate`: runs one request and writes what comes.

#include <google/protobuf/util/json_util.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/commands.h"
#include "client/contact_sheet.h"
#include "client/generate_request.h"
#include "client/png_file.h"
#include "client/progress.h"
#include "client/tokens_file.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

// The picture as the server sent it, as pixels.
absl::StatusOr<Picture> Pixels(const v1::Picture& picture, const std::string& source) {
  if (picture.format() != v1::OutputOptions::FORMAT_RGB8) return DecodePng(picture.data(), source);
  if (picture.data().size() != size_t{3} * picture.width() * picture.height()) {
    return absl::DataLossError(absl::StrCat(source, ": ", picture.data().size(), " bytes for ",
                                            picture.width(), " x ", picture.height(), " pixels"));
  }
  return Picture{picture.width(), picture.height(), {picture.data().begin(), picture.data().end()}};
}

// Takes a stream's events in, writes their files and remembers what the sheet and the tokens file
// need. Its errors are those of the disk, or of pictures that are none.
class GenerateSession {
 public:
  GenerateSession(const GenerateCommand& command, absl::Time start)
      : command_(command), start_(start) {}

  absl::Status OnEvent(const v1::GenerateResponse& event) {
    switch (event.event_case()) {
      case v1::GenerateResponse::kAccepted:
        return OnAccepted(event.accepted());
      case v1::GenerateResponse::kPreview:
        return OnPreview(event.preview());
      case v1::GenerateResponse::kImage:
        return OnImage(event.image());
      case v1::GenerateResponse::kCompleted:
        Say(CompletedLine(event.completed()));
        return absl::OkStatus();
      case v1::GenerateResponse::EVENT_NOT_SET:
        return absl::OkStatus();  // An event of a later version of the API.
    }
    return absl::OkStatus();
  }

  // After the stream: the sheet, the tokens file, and the paths of all but previews for whoever
  // reads standard output.
  absl::Status Finish() {
    if (command_.validate_only) return absl::OkStatus();
    HMAR_RETURN_IF_ERROR(WriteSheet());
    HMAR_RETURN_IF_ERROR(WriteTokens());
    for (const std::string& path : results_) absl::PrintF("%s\n", path);
    return absl::OkStatus();
  }

 private:
  absl::Status OnAccepted(const v1::Accepted& accepted) {
    first_seed_ = accepted.seed();
    tokens_.model = accepted.model();
    if (command_.validate_only) {
      absl::PrintF("valid: %s, %.4f device seconds\n", AcceptedLine(accepted),
                   accepted.estimated_gpu_seconds());
    } else {
      Say(AcceptedLine(accepted));
    }
    return absl::OkStatus();
  }

  absl::Status OnPreview(const v1::Preview& preview) {
    Say(PreviewLine(preview, command_.count, absl::Now() - start_));
    const uint64_t seed = first_seed_ + preview.image_index();
    return Keep(preview.picture(), absl::StrFormat("image-%d-scale-%02d", seed, preview.scale()),
                preview.image_index());
  }

  absl::Status OnImage(const v1::Image& image) {
    Say(ImageLine(image, command_.count, absl::Now() - start_));
    const std::string name = absl::StrCat("image-", image.seed());
    HMAR_RETURN_IF_ERROR(Keep(image.picture(), name, image.image_index()));
    results_.push_back(PathOf(name + ".png"));
    ImageTokens tokens{.seed = image.seed(), .scales = {}};
    for (const v1::ScaleTokens& scale : image.tokens()) {
      tokens.scales.emplace_back(scale.tokens().begin(), scale.tokens().end());
    }
    image_tokens_[image.image_index()] = std::move(tokens);
    return command_.receipt ? WriteReceipt(image.receipt(), name) : absl::OkStatus();
  }

  // Writes the picture as a PNG (a PNG of the server's as it came: it may hold the receipt) and
  // puts it into its image's row of the sheet. Events of one image come in scale order, so its row
  // is in order, too.
  absl::Status Keep(const v1::Picture& picture, const std::string& name, uint32_t image_index) {
    HMAR_ASSIGN_OR_RETURN(Picture pixels, Pixels(picture, name));
    std::string encoded;
    if (picture.format() == v1::OutputOptions::FORMAT_RGB8) {
      HMAR_ASSIGN_OR_RETURN(encoded, EncodePng(pixels));
    }
    rows_[image_index].push_back(std::move(pixels));
    return Write(absl::StrCat(name, ".png"), encoded.empty() ? picture.data() : encoded);
  }

  absl::Status WriteReceipt(const v1::Receipt& receipt, const std::string& name) {
    google::protobuf::util::JsonPrintOptions options;
    options.add_whitespace = true;
    options.preserve_proto_field_names = true;
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(receipt, &json, options).ok()) {
      return absl::DataLossError(absl::StrCat(name, ": the receipt is no valid UTF-8"));
    }
    return Write(absl::StrCat(name, ".json"), json);
  }

  absl::Status WriteSheet() {
    std::vector<std::vector<Picture>> rows;
    for (auto& [index, row] : rows_) rows.push_back(std::move(row));
    HMAR_ASSIGN_OR_RETURN(const Picture sheet, MakeContactSheet(rows));
    HMAR_ASSIGN_OR_RETURN(const std::string png, EncodePng(sheet));
    results_.push_back(PathOf("sheet.png"));
    return Write("sheet.png", png);
  }

  absl::Status WriteTokens() {
    if (command_.save_tokens.empty()) return absl::OkStatus();
    for (auto& [index, tokens] : image_tokens_) tokens_.images.push_back(std::move(tokens));
    HMAR_RETURN_IF_ERROR(WriteFile(command_.save_tokens, FormatTokens(tokens_)));
    results_.push_back(command_.save_tokens);
    return absl::OkStatus();
  }

  absl::Status Write(const std::string& name, const std::string& bytes) {
    return WriteFile(PathOf(name), bytes);
  }

  std::string PathOf(const std::string& name) const {
    return std::filesystem::path(command_.out) / name;
  }

  void Say(const std::string& line) const {
    if (!command_.quiet) absl::FPrintF(stderr, "%s\n", line);
  }

  const GenerateCommand& command_;
  const absl::Time start_;
  uint64_t first_seed_ = 0;
  std::map<uint32_t, std::vector<Picture>> rows_;  // By image index.
  std::map<uint32_t, ImageTokens> image_tokens_;   // By image index: images finish in any order.
  TokensFile tokens_;
  std::vector<std::string> results_;  // Paths of what the request asked for.
};

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return absl::UnknownError(absl::StrCat("cannot make the folder '", path, "': ", error.message()));
}

}  // namespace

ExitCode RunGenerate(const GenerateCommand& command, Client& client, Canceller& canceller) {
  const absl::StatusOr<v1::GenerateRequest> request = MakeGenerateRequest(command);
  if (!request.ok()) {
    PrintError(request.status());
    return kExitUsage;
  }
  if (const absl::Status made = MakeFolder(command.out); !command.out.empty() && !made.ok()) {
    PrintError(made);
    return kExitOutput;
  }
  CallOptions options{.canceller = &canceller};
  if (command.deadline_seconds) options.timeout = absl::Seconds(*command.deadline_seconds);
  GenerateSession session(command, absl::Now());
  absl::Status written;
  const absl::Status call = client.Generate(
      *request, [&](const v1::GenerateResponse& event) { return written = session.OnEvent(event); },
      options);
  if (call.ok()) written = session.Finish();
  if (!written.ok()) {
    PrintError(written);
    return kExitOutput;
  }
  return ReportCall(call, canceller);
}

}  // namespace hmar
