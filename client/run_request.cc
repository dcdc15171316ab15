#include "client/run_request.h"

#include <google/protobuf/util/json_util.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/commands.h"
#include "client/contact_sheet.h"
#include "client/files.h"
#include "client/picture_codec.h"
#include "client/picture_names.h"
#include "client/png_codec.h"
#include "client/printable.h"
#include "client/progress.h"
#include "client/retry.h"
#include "client/sheet_rows.h"
#include "client/terminal/display.h"
#include "client/tokens_file.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

// The picture as the server sent it, as pixels. Its size, and the bytes of FORMAT_RGB8, are checked
// already. DATA_LOSS: a damaged file.
absl::StatusOr<Picture> Pixels(const v1::Picture& picture, const std::string& source) {
  if (picture.format() == v1::OutputOptions::FORMAT_RGB8) {
    return Picture{
        picture.width(), picture.height(), {picture.data().begin(), picture.data().end()}};
  }
  absl::StatusOr<Picture> pixels = DecodePicture(picture.data(), source);
  if (pixels.ok()) return pixels;
  return absl::DataLossError(std::string(pixels.status().message()));
}

// Takes a stream's events in, which are an answer to the request (client/answer_check.h), writes
// their files and remembers what the sheet and the tokens file need. Its errors are those of the
// disk, or DATA_LOSS: of what the server sent.
class AnswerWriter {
 public:
  AnswerWriter(const RequestFlags& flags, const AnswerFiles& files, Display& display)
      : flags_(flags), files_(files), display_(display) {}

  absl::Status OnEvent(const v1::GenerateResponse& event) {
    switch (event.event_case()) {
      case v1::GenerateResponse::kAccepted:
        return OnAccepted(event.accepted());
      case v1::GenerateResponse::kPreview:
        return OnPreview(event.preview());
      case v1::GenerateResponse::kImage:
        return OnImage(event.image());
      case v1::GenerateResponse::kCompleted:
        display_.OnCompleted(event.completed());
        return absl::OkStatus();
      case v1::GenerateResponse::EVENT_NOT_SET:
        return absl::OkStatus();  // An event of a later version of the API.
    }
    return absl::OkStatus();
  }

  // After the stream: the sheet, the tokens file, and the paths of all but previews for whoever
  // reads standard output.
  absl::Status Finish() {
    absl::PrintF("%s", price_);
    if (flags_.validate_only) return absl::OkStatus();
    HMAR_RETURN_IF_ERROR(WriteTokens());
    HMAR_RETURN_IF_ERROR(WriteSheet());
    for (const std::string& path : results_) absl::PrintF("%s\n", path);
    return absl::OkStatus();
  }

 private:
  absl::Status OnAccepted(const v1::Accepted& accepted) {
    first_seed_ = accepted.seed();
    tokens_.model = accepted.model();
    if (flags_.validate_only) {
      price_ = absl::StrFormat("valid: %s, %.4f device seconds\n", AcceptedLine(accepted),
                               accepted.estimated_gpu_seconds());
    } else {
      display_.OnAccepted(accepted);
    }
    return absl::OkStatus();
  }

  absl::Status OnPreview(const v1::Preview& preview) {
    const std::string stem = files_.stem(first_seed_ + preview.image_index());
    const std::string path =
        absl::StrFormat("%s-scale-%02d%s", stem, preview.scale(), ExtensionOf(flags_.format));
    HMAR_ASSIGN_OR_RETURN(Picture pixels, Pixels(preview.picture(), path));
    display_.OnPreview(preview, pixels);
    if (files_.writes_previews) HMAR_RETURN_IF_ERROR(WritePicture(preview.picture(), pixels, path));
    if (!files_.sheet.empty() && files_.sheet_previews) {
      rows_.Append(preview.image_index(), std::move(pixels));
    }
    return absl::OkStatus();
  }

  absl::Status OnImage(const v1::Image& image) {
    const std::string stem = files_.stem(image.seed());
    const std::string path = absl::StrCat(stem, ExtensionOf(flags_.format));
    HMAR_ASSIGN_OR_RETURN(Picture pixels, Pixels(image.picture(), path));
    display_.OnImage(image, pixels);
    HMAR_RETURN_IF_ERROR(WritePicture(image.picture(), pixels, path));
    results_.push_back(path);
    if (!files_.sheet.empty()) HMAR_RETURN_IF_ERROR(FinishRow(image, std::move(pixels)));
    if (!flags_.save_tokens.empty()) KeepTokens(image);
    return flags_.receipt ? WriteReceipt(image.receipt(), stem) : absl::OkStatus();
  }

  // A file of the server's is written as it came: it may hold the receipt.
  absl::Status WritePicture(const v1::Picture& picture, const Picture& pixels,
                            const std::string& path) {
    if (picture.format() != v1::OutputOptions::FORMAT_RGB8) return WriteFile(path, picture.data());
    HMAR_ASSIGN_OR_RETURN(const std::string png, EncodePng(pixels));
    return WriteFile(path, png);
  }

  // Events of one image come in scale order, so its row has its previews in order already.
  absl::Status FinishRow(const v1::Image& image, Picture pixels) {
    const uint32_t row = image.image_index();
    if (files_.row_opening) {
      HMAR_ASSIGN_OR_RETURN(std::vector<Picture> opening, files_.row_opening(image, pixels));
      for (; !opening.empty(); opening.pop_back()) rows_.Prepend(row, std::move(opening.back()));
    }
    rows_.Append(row, std::move(pixels));
    return absl::OkStatus();
  }

  void KeepTokens(const v1::Image& image) {
    ImageTokens& tokens = image_tokens_[image.image_index()];
    tokens.seed = image.seed();
    for (const v1::ScaleTokens& scale : image.tokens()) {
      tokens.scales.emplace_back(scale.tokens().begin(), scale.tokens().end());
    }
  }

  absl::Status WriteReceipt(const v1::Receipt& receipt, const std::string& stem) {
    google::protobuf::util::JsonPrintOptions options;
    options.add_whitespace = true;
    options.preserve_proto_field_names = true;
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(receipt, &json, options).ok()) {
      return absl::DataLossError(absl::StrCat(stem, ": the receipt cannot be written as JSON"));
    }
    return WriteFile(absl::StrCat(stem, ".json"), PrintableJson(json));
  }

  absl::Status WriteSheet() {
    if (files_.sheet.empty()) return absl::OkStatus();
    HMAR_ASSIGN_OR_RETURN(const Picture sheet, MakeContactSheet(rows_.Take()));
    HMAR_ASSIGN_OR_RETURN(const std::string png, EncodePng(sheet));
    HMAR_RETURN_IF_ERROR(WriteFile(files_.sheet, png));
    results_.push_back(files_.sheet);
    return absl::OkStatus();
  }

  absl::Status WriteTokens() {
    if (flags_.save_tokens.empty()) return absl::OkStatus();
    for (auto& [index, tokens] : image_tokens_) tokens_.images.push_back(std::move(tokens));
    HMAR_RETURN_IF_ERROR(WriteFile(flags_.save_tokens, FormatTokens(tokens_)));
    results_.push_back(flags_.save_tokens);
    return absl::OkStatus();
  }

  const RequestFlags& flags_;
  const AnswerFiles& files_;
  Display& display_;
  std::string price_;  // Of validate_only; told once, by whichever try.
  uint64_t first_seed_ = 0;
  SheetRows rows_;                                // By image index.
  std::map<uint32_t, ImageTokens> image_tokens_;  // By image index: images finish in any order.
  TokensFile tokens_;
  std::vector<std::string> results_;  // Paths of what the request asked for.
};

absl::Status MakeFolder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return absl::UnknownError(absl::StrCat("cannot make the folder '", path, "': ", error.message()));
}

absl::Status MakeFolders(const std::vector<std::string>& folders) {
  for (const std::string& folder : folders) {
    if (!folder.empty()) HMAR_RETURN_IF_ERROR(MakeFolder(folder));
  }
  return absl::OkStatus();
}

}  // namespace

std::string PreviewsOf(const RequestFlags& flags, const Terminal& terminal) {
  const bool left_to_us = !flags.write_previews && flags.previews == "none";
  const bool shown = terminal.live() && !flags.quiet && !flags.validate_only;
  return left_to_us && shown ? "fast" : flags.previews;
}

ExitCode RunRequest(const RequestFlags& flags, const AnswerFiles& files,
                    const absl::StatusOr<v1::GenerateRequest>& request, Client& client,
                    Canceller& canceller, Terminal& terminal) {
  if (!request.ok()) {
    PrintError(request.status());
    return kExitUsage;
  }
  if (const absl::Status made = MakeFolders(files.folders); !made.ok()) {
    PrintError(made);
    return kExitOutput;
  }
  CallOptions options{.canceller = &canceller};
  if (flags.deadline_seconds) options.timeout = absl::Seconds(*flags.deadline_seconds);
  const std::unique_ptr<Display> display = MakeDisplay(
      {.images = flags.count, .quiet = flags.quiet || flags.validate_only, .show = flags.show},
      terminal);
  AnswerWriter writer(flags, files, *display);
  absl::Status written;
  const auto write = [&](const v1::GenerateResponse& e) { return written = writer.OnEvent(e); };
  Retrying retrying = RetryingWith({.retries = flags.retries}, &canceller);
  retrying.on_retry = [&display](const absl::Status& failure, absl::Duration wait) {
    display->OnRetry(RetryLine(failure, wait));
  };
  const auto generate = [&client](const auto&... of_try) { return client.Generate(of_try...); };
  const absl::Status call = GenerateWithRetries(generate, *request, write, options, retrying);
  display->Close();
  if (call.ok()) written = writer.Finish();
  if (!written.ok()) {
    PrintError(written);
    return absl::IsDataLoss(written) ? kExitCallFailed : kExitOutput;
  }
  return ReportCall(call, canceller);
}

}  // namespace hmar
