#include "server/scheduling/report_check.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

constexpr uint32_t kFastPixels = 4;  // Of a FAST preview, a token of the last grid.

// "": the picture is square, of this side, with three bytes a pixel.
std::string WrongSize(const Picture& picture, uint32_t side) {
  if (picture.width == side && picture.height == side &&
      picture.rgb.size() == size_t{3} * side * side) {
    return "";
  }
  return absl::StrCat("it is ", picture.width, " x ", picture.height, " pixels in ",
                      picture.rgb.size(), " bytes, and should be ", side, " x ", side);
}

template <typename Entry>
void DropThoseAtFault(const ReportCheck::Findings& findings, std::vector<Entry>* entries) {
  std::erase_if(*entries, [&](const Entry& entry) { return findings.at_fault.contains(entry.id); });
}

}  // namespace

bool IsPyramid(const TokenPyramid& tokens, const ModelConfig& config, int scales) {
  if (static_cast<int>(tokens.size()) != scales) return false;
  for (int k = 0; k < scales; ++k) {
    if (static_cast<int64_t>(tokens[k].size()) != config.tokens_of_scale(k)) return false;
    for (const int32_t token : tokens[k]) {
      if (token < 0 || token >= static_cast<int64_t>(config.tokenizer.vocab_size)) return false;
    }
  }
  return true;
}

void ReportCheck::Admitted(ImageId id, const ImageTask& task) {
  Held held;
  held.scales = NumScales(config_, task.sampling);
  held.passes = PlanPasses(config_, task);
  held.preview_mode = task.preview_mode;
  for (int scale = 0; scale < config_.num_scales(); ++scale) {
    held.previews_due.push_back(WantsPreview(task, scale));
  }
  held_[id] = std::move(held);
}

absl::Status ReportCheck::Truncated(ImageId id, uint32_t scales) {
  const auto found = held_.find(id);
  if (found == held_.end()) {
    return absl::InvalidArgumentError(absl::StrCat("image ", id, " is not in flight"));
  }
  Held& held = found->second;
  return TruncateImage(id, scales, held.next_pass, &held.passes, &held.scales);
}

ReportCheck::Findings ReportCheck::Check(absl::Span<const ImageId> ids, StepReport* report) {
  ++checks_;
  Findings findings;
  CheckEntries(report, &findings);
  std::set<ImageId> ended;
  for (const FailureReport& failure : report->failures) ended.insert(failure.id);
  for (const ImageReport& image : report->images) ended.insert(image.id);
  CheckSilence(ids, ended, &findings);
  CheckLatePictures(/*awaited=*/ids.empty(), ended, &findings);
  DropThoseAtFault(findings, &report->passes);
  DropThoseAtFault(findings, &report->previews);
  DropThoseAtFault(findings, &report->images);
  DropThoseAtFault(findings, &report->failures);
  for (const auto& [id, what] : findings.at_fault) {
    report->failures.push_back(
        {id, absl::InternalError(absl::StrCat("the engine misreported the image: ", what))});
  }
  for (const ImageReport& image : report->images) Left(image.id);
  for (const FailureReport& failure : report->failures) Left(failure.id);
  return findings;
}

void ReportCheck::CheckEntries(StepReport* report, Findings* findings) {
  DropStrays(&report->passes, findings);
  DropStrays(&report->previews, findings);
  DropStrays(&report->images, findings);
  DropStrays(&report->failures, findings);
  const auto check = [&](const auto& entry) {
    std::string wrong = WrongWith(entry, held_.at(entry.id));
    if (!wrong.empty()) findings->at_fault.emplace(entry.id, std::move(wrong));
  };
  std::for_each(report->passes.begin(), report->passes.end(), check);
  std::for_each(report->previews.begin(), report->previews.end(), check);
  std::for_each(report->images.begin(), report->images.end(), check);
  CheckFailures(report->failures, findings);
  std::set<ImageId> pictures;
  for (const ImageReport& image : report->images) {
    if (pictures.insert(image.id).second) continue;
    findings->at_fault.emplace(image.id, "two pictures of it came");
  }
}

template <typename Entry>
void ReportCheck::DropStrays(std::vector<Entry>* entries, Findings* findings) const {
  findings->strays += static_cast<uint32_t>(
      std::erase_if(*entries, [this](const Entry& entry) { return !held_.contains(entry.id); }));
}

std::string ReportCheck::WrongWith(const PassReport& pass, Held& held) {
  if (std::exchange(held.last_check, checks_) == checks_) return "two passes in one step";
  if (held.decoding) return "a pass after its last";
  if (held.passes.empty()) {  // Every scale was laid: no pass, but an entry.
    held.decoding = true;
    return pass.rows == 0 && pass.last ? "" : "a pass where none was left";
  }
  const Pass& due = held.passes[held.next_pass++];
  held.decoding = held.next_pass == held.passes.size();
  if (pass.scale == due.scale && pass.step == due.step && pass.rows == due.rows() &&
      pass.settled_scale == due.settles_scale && pass.last == held.decoding) {
    return "";
  }
  return absl::StrCat("pass ", pass.step, " of scale ", pass.scale, " with ", pass.rows,
                      " rows, where pass ", due.step, " of scale ", due.scale, " with ", due.rows(),
                      " rows was due");
}

std::string ReportCheck::WrongWith(const PreviewReport& preview, Held& held) const {
  if (preview.scale >= held.previews_due.size() || !held.previews_due[preview.scale]) {
    return absl::StrCat("a preview of scale ", preview.scale, ", where none is due");
  }
  // In the order of the scales: those before it do not come any more.
  std::fill_n(held.previews_due.begin(), preview.scale + 1, false);
  const bool fast = held.preview_mode == PreviewMode::kFast;
  const std::string wrong =
      WrongSize(preview.picture, fast ? kFastPixels * config_.last_grid()
                                      : static_cast<uint32_t>(config_.image_size));
  return wrong.empty() ? "" : absl::StrCat("the preview of scale ", preview.scale, ": ", wrong);
}

std::string ReportCheck::WrongWith(const ImageReport& image, const Held& held) const {
  if (!held.decoding && !held.passes.empty()) return "a picture before its last pass";
  const std::string wrong = WrongSize(image.picture, config_.image_size);
  if (!wrong.empty()) return absl::StrCat("the picture: ", wrong);
  return IsPyramid(image.tokens, config_, held.scales) ? ""
                                                       : "its tokens are not of the model's grids";
}

void ReportCheck::CheckFailures(const std::vector<FailureReport>& failures,
                                Findings* findings) const {
  std::set<ImageId> failed;
  for (const FailureReport& failure : failures) {
    if (!failed.insert(failure.id).second) {
      findings->at_fault.emplace(failure.id, "two failures of it came");
    } else if (failure.status.ok()) {
      findings->at_fault.emplace(failure.id, "a failure without an error");
    }
  }
}

void ReportCheck::CheckSilence(absl::Span<const ImageId> ids, const std::set<ImageId>& ended,
                               Findings* findings) {
  for (const ImageId id : ids) {
    Held& held = held_.at(id);
    if (held.last_check == checks_ || ended.contains(id)) continue;
    if (held.passes.empty()) {  // It has no pass to speak of, and its picture is due.
      held.decoding = true;
      held.last_check = checks_;
    } else {
      findings->at_fault.emplace(id, "nothing was said of its pass");
    }
  }
}

void ReportCheck::CheckLatePictures(bool awaited, const std::set<ImageId>& ended,
                                    Findings* findings) const {
  std::optional<std::pair<uint64_t, ImageId>> oldest;  // Of those whose pictures are due.
  for (const auto& [id, held] : held_) {
    if (!held.decoding || ended.contains(id)) continue;
    if (checks_ - held.last_check > kMaxLateSteps) {
      findings->at_fault.emplace(id, absl::StrCat("no picture within ", kMaxLateSteps, " steps"));
    }
    const std::pair due(held.last_check, id);
    if (!oldest.has_value() || due < *oldest) oldest = due;
  }
  if (awaited && ended.empty() && findings->at_fault.empty() && oldest.has_value()) {
    findings->at_fault.emplace(oldest->second, "no picture, although it was waited for");
  }
}

}  // namespace hmar
