#ifndef HMAR_SERVER_SCHEDULING_REPORT_CHECK_H_
#define HMAR_SERVER_SCHEDULING_REPORT_CHECK_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "model/engine.h"

namespace hmar {

// Holds what one engine reports against what engine.h promises, so that nothing behind it has to:
// not the books, which count slots by reports, nor whoever takes a picture to have the model's
// size. It knows the images that the engine holds and which passes and previews each has still to
// come. Thread-compatible.
class ReportCheck {
 public:
  // A picture that has not come so many steps after its image's last pass never will.
  static constexpr uint64_t kMaxLateSteps = 1000;

  // `config`, the engine's, outlives it.
  explicit ReportCheck(const ModelConfig* config) : config_(*config) {}

  // The engine has been given this image; it holds it until Left, or a report that ends it.
  void Admitted(ImageId id, const ImageTask& task);
  // It is given this truncation. Errors: as Engine::Truncate.
  absl::Status Truncated(ImageId id, uint32_t scales);
  void Left(ImageId id) { held_.erase(id); }
  bool Holds(ImageId id) const { return held_.contains(id); }

  // What a report broke. An image at fault is to be cancelled in the engine: nothing is known of
  // it.
  struct Findings {
    std::map<ImageId, std::string> at_fault;  // With what was wrong first.
    uint32_t strays = 0;                      // Entries about images that the engine does not hold.
    bool empty() const { return at_fault.empty() && strays == 0; }
  };

  // Takes out of the report of Step(ids) whatever is about images at fault or unknown, and puts in
  // an INTERNAL failure for each at fault. What is left keeps engine.h's promises: an entry is of
  // an image that the engine holds; each of `ids` has its next pass or a failure; previews are such
  // as were asked for, once each and with their scale's size; pictures come after the last pass,
  // with the model's size and tokens of the codebook. An empty `ids` ends an image, if one was due.
  // REQUIRES: each of `ids` is held.
  Findings Check(absl::Span<const ImageId> ids, StepReport* report);

 private:
  struct Held {
    int scales = 0;  // That it is to have.
    std::vector<Pass> passes;
    size_t next_pass = 0;
    bool decoding = false;    // Past its last pass: its picture is due.
    uint64_t last_check = 0;  // Number of the check that saw its last pass.
    PreviewMode preview_mode = PreviewMode::kNone;
    std::vector<bool> previews_due;  // By scale.
  };

  // Each says what is wrong with an entry; "": nothing. The image is held.
  std::string WrongWith(const PassReport& pass, Held& held);
  std::string WrongWith(const PreviewReport& preview, Held& held) const;
  std::string WrongWith(const ImageReport& image, const Held& held) const;

  template <typename Entry>
  void DropStrays(std::vector<Entry>* entries, Findings* findings) const;
  void CheckEntries(StepReport* report, Findings* findings);
  void CheckFailures(const std::vector<FailureReport>& failures, Findings* findings) const;
  // Images of the step of which nothing was said.
  void CheckSilence(absl::Span<const ImageId> ids, const std::set<ImageId>& ended,
                    Findings* findings);
  // Pictures that were due long ago; one, if the step did nothing but wait for it.
  void CheckLatePictures(bool awaited, const std::set<ImageId>& ended, Findings* findings) const;

  const ModelConfig& config_;
  absl::flat_hash_map<ImageId, Held> held_;
  uint64_t checks_ = 0;
};

// Whether these are tokens of the first `scales` scales of a model, each inside its codebook.
bool IsPyramid(const TokenPyramid& tokens, const ModelConfig& config, int scales);

}  // namespace hmar

#endif  // HMAR_SERVER_SCHEDULING_REPORT_CHECK_H_
