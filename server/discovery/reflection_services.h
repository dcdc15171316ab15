#ifndef HMAR_SERVER_DISCOVERY_REFLECTION_SERVICES_H_
#define HMAR_SERVER_DISCOVERY_REFLECTION_SERVICES_H_

#include <grpcpp/impl/service_type.h>

#include <atomic>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "server/discovery/descriptor_index.h"

namespace hmar {

// grpc.reflection.v1 and v1alpha, which are the same under two names. In place of gRPC's own, which
// keeps whatever it is sent, and a thread for every stream. Thread-safe.
class ReflectionServices {
 public:
  // Streams open at a time, over all connections; another is refused with RESOURCE_EXHAUSTED. The
  // largest answer is 6 KB and the request that it repeats, so together they hold under 1 MB.
  static constexpr int kMaxStreams = 64;

  // Tells of the services of `files` and of itself. A stream whose client takes longer than
  // `step_limit` to send its next request, or to read an answer, ends with DEADLINE_EXCEEDED.
  ReflectionServices(const std::vector<const google::protobuf::FileDescriptor*>& files,
                     absl::Duration step_limit);
  ~ReflectionServices();

  // To register; they outlive the gRPC server.
  std::vector<grpc::Service*> services() const;

 private:
  class Stream;
  template <typename Api>
  class Service;

  const DescriptorIndex index_;
  const absl::Duration step_limit_;
  std::atomic<int> open_ = 0;  // Streams.
  std::vector<std::unique_ptr<grpc::Service>> versions_;
};

}  // namespace hmar

#endif  // HMAR_SERVER_DISCOVERY_REFLECTION_SERVICES_H_
