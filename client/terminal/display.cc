#include "client/terminal/display.h"

#include <cstdio>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/progress.h"
#include "client/terminal/live_display.h"

namespace hmar {
namespace {

void Say(const std::string& line) { absl::FPrintF(stderr, "%s\n", line); }

void SayRetry(const std::string& line) { Say("hmar: " + line); }

class NoDisplay final : public Display {
 public:
  void OnAccepted(const v1::Accepted& /*accepted*/) override {}
  void OnRetry(const std::string& line) override { SayRetry(line); }
  void OnPreview(const v1::Preview& /*preview*/, const Picture& /*pixels*/) override {}
  void OnImage(const v1::Image& /*image*/, const Picture& /*pixels*/) override {}
  void OnCompleted(const v1::Completed& /*completed*/) override {}
  void Close() override {}
};

class LineDisplay final : public Display {
 public:
  explicit LineDisplay(uint32_t images) : images_(images), start_(absl::Now()) {}

  void OnAccepted(const v1::Accepted& accepted) override { Say(AcceptedLine(accepted)); }
  void OnRetry(const std::string& line) override { SayRetry(line); }
  void OnPreview(const v1::Preview& preview, const Picture& /*pixels*/) override {
    Say(PreviewLine(preview, images_, absl::Now() - start_));
  }
  void OnImage(const v1::Image& image, const Picture& /*pixels*/) override {
    Say(ImageLine(image, images_, absl::Now() - start_));
  }
  void OnCompleted(const v1::Completed& completed) override { Say(CompletedLine(completed)); }
  void Close() override {}

 private:
  const uint32_t images_;
  const absl::Time start_;
};

}  // namespace

std::unique_ptr<Display> MakeDisplay(const DisplayOptions& options, Terminal& terminal) {
  if (options.quiet) return std::make_unique<NoDisplay>();
  if (!terminal.live()) return std::make_unique<LineDisplay>(options.images);
  return std::make_unique<LiveDisplay>(options, terminal.Kind(options.show), terminal);
}

}  // namespace hmar
