#ifndef HMAR_TESTS_CLIENT_RAW_SERVER_H_
#define HMAR_TESTS_CLIENT_RAW_SERVER_H_

// A gRPC server that answers with bytes, whether they are a message or not.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/grpcpp.h"

namespace hmar {

struct RawAnswer {
  std::vector<grpc::ByteBuffer> messages;
  grpc::Status status;
  grpc_compression_algorithm compression = GRPC_COMPRESS_NONE;
};

// Listens on a free port of this host while it lives. Thread-safe.
class RawServer final : public grpc::CallbackGenericService {
 public:
  RawServer();
  ~RawServer() override;

  // For "/package.Service/Method". Methods without an answer are UNIMPLEMENTED.
  void SetAnswer(const std::string& method, RawAnswer answer);
  int calls() const;
  std::string address() const;  // HOST:PORT

 private:
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override;

  mutable absl::Mutex mutex_;
  std::map<std::string, RawAnswer> answers_ ABSL_GUARDED_BY(mutex_);
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// `piece` so many times, one after the other, in the memory of a few.
grpc::ByteBuffer Repeated(const std::string& piece, size_t times);

}  // namespace hmar

#endif  // HMAR_TESTS_CLIENT_RAW_SERVER_H_
