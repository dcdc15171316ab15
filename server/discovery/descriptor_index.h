#ifndef HMAR_SERVER_DISCOVERY_DESCRIPTOR_INDEX_H_
#define HMAR_SERVER_DISCOVERY_DESCRIPTOR_INDEX_H_

#include <google/protobuf/descriptor.h>

#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "grpc/reflection/v1/reflection.pb.h"

namespace hmar {

// What reflection tells of: the services of some files, all that these declare and import. Made
// once, from the code that is linked in; asking protobuf's own pool instead would make it remember
// every name that it does not know. Immutable, thread-safe.
class DescriptorIndex {
 public:
  // Files of generated code, whose services are listed in this order.
  explicit DescriptorIndex(const std::vector<const google::protobuf::FileDescriptor*>& files);

  // The answer to one request of a stream. `sent` holds the names of the files that the stream has
  // had, and gains those of this answer; they are not sent again unless they are asked for.
  grpc::reflection::v1::ServerReflectionResponse Answer(
      const grpc::reflection::v1::ServerReflectionRequest& request,
      std::set<std::string>* sent) const;

 private:
  using Response = grpc::reflection::v1::ServerReflectionResponse;

  void AddFile(const google::protobuf::FileDescriptor* file);
  void AddMessage(const google::protobuf::Descriptor* message);
  void AddEnum(const google::protobuf::EnumDescriptor* type);
  void ListServices(Response* response) const;
  // `file`: null if there is none of what `asked` names.
  void SendFile(const google::protobuf::FileDescriptor* file, const std::string& asked,
                std::set<std::string>* sent, Response* response) const;
  const google::protobuf::FileDescriptor* FileOf(const std::string& symbol) const;

  std::vector<std::string> services_;                                                // Full names.
  absl::flat_hash_map<std::string, const google::protobuf::FileDescriptor*> files_;  // By name.
  absl::flat_hash_map<std::string, const google::protobuf::FileDescriptor*> symbols_;  // Full name.
};

}  // namespace hmar

#endif  // HMAR_SERVER_DISCOVERY_DESCRIPTOR_INDEX_H_
