#ifndef HMAR_TESTS_SERVER_GRPC_DETAILS_H_
#define HMAR_TESTS_SERVER_GRPC_DETAILS_H_

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/support/status.h>

#include <optional>
#include <string>
#include <vector>

namespace hmar {

// The detail of this type in a gRPC error, as a client decodes it.
template <typename Detail>
std::optional<Detail> DetailOf(const grpc::Status& status) {
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return std::nullopt;
  for (const google::protobuf::Any& any : details.details()) {
    if (Detail detail; any.UnpackTo(&detail)) return detail;
  }
  return std::nullopt;
}

// ErrorInfo.reason; "" without one.
inline std::string ReasonIn(const grpc::Status& status) {
  const auto info = DetailOf<google::rpc::ErrorInfo>(status);
  return info.has_value() && info->domain() == "hmar.v1" ? info->reason() : "";
}

// The field paths of BadRequest, in order.
inline std::vector<std::string> FieldsIn(const grpc::Status& status) {
  std::vector<std::string> fields;
  const auto bad_request = DetailOf<google::rpc::BadRequest>(status);
  if (!bad_request.has_value()) return fields;
  for (const auto& violation : bad_request->field_violations()) fields.push_back(violation.field());
  return fields;
}

}  // namespace hmar

#endif  // HMAR_TESTS_SERVER_GRPC_DETAILS_H_
