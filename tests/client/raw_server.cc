#include "tests/client/raw_server.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "grpc/grpc.h"
#include "grpcpp/health_check_service_interface.h"

namespace hmar {
namespace {

// Reads the request, writes the messages one by one, ends. Deletes itself when gRPC is done with
// it.
class RawReactor final : public grpc::ServerGenericBidiReactor {
 public:
  RawReactor(grpc::GenericCallbackServerContext& context, RawAnswer answer)
      : answer_(std::move(answer)) {
    context.set_compression_algorithm(answer_.compression);
    StartRead(&request_);
  }

  void OnReadDone(bool) override { Continue(); }
  void OnWriteDone(bool ok) override { ok ? Continue() : Finish(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }

 private:
  void Continue() {
    if (next_ < answer_.messages.size()) {
      StartWrite(&answer_.messages[next_++]);
    } else {
      Finish(answer_.status);
    }
  }

  const RawAnswer answer_;
  grpc::ByteBuffer request_;
  size_t next_ = 0;
};

}  // namespace

RawServer::RawServer() {
  grpc_init();  // For good: its end may wait ten seconds for a thread of its own that polls.
  grpc::EnableDefaultHealthCheckService(false);  // A fake server's, of the same process.
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
  builder.RegisterCallbackGenericService(this);
  server_ = builder.BuildAndStart();
}

RawServer::~RawServer() { server_->Shutdown(std::chrono::system_clock::now()); }

void RawServer::SetAnswer(const std::string& method, RawAnswer answer) {
  absl::MutexLock lock(&mutex_);
  answers_[method] = std::move(answer);
}

int RawServer::calls() const {
  absl::MutexLock lock(&mutex_);
  return calls_;
}

std::string RawServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

grpc::ServerGenericBidiReactor* RawServer::CreateReactor(
    grpc::GenericCallbackServerContext* context) {
  absl::MutexLock lock(&mutex_);
  ++calls_;
  const auto found = answers_.find(context->method());
  if (found == answers_.end()) {
    return new RawReactor(*context,
                          {.messages = {}, .status = {grpc::StatusCode::UNIMPLEMENTED, ""}});
  }
  return new RawReactor(*context, found->second);
}

grpc::ByteBuffer Repeated(const std::string& piece, size_t times) {
  constexpr size_t kLongEnough = size_t{1} << 20;
  std::string longer;
  size_t in_longer = 0;
  while (in_longer < times && longer.size() < kLongEnough) {
    longer += piece;
    ++in_longer;
  }
  std::vector<grpc::Slice> slices;
  if (in_longer > 0) slices.assign(times / in_longer, grpc::Slice(longer));
  const size_t rest = in_longer > 0 ? times % in_longer : 0;
  if (rest > 0) slices.emplace_back(longer.substr(0, rest * piece.size()));
  return {slices.data(), slices.size()};
}

}  // namespace hmar
