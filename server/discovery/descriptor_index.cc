#include "server/discovery/descriptor_index.h"

#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/support/status.h>

#include "absl/strings/str_cat.h"

namespace hmar {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::ServiceDescriptor;
using grpc::reflection::v1::ServerReflectionRequest;
using grpc::reflection::v1::ServerReflectionResponse;

void SetError(grpc::StatusCode code, const std::string& message,
              ServerReflectionResponse* response) {
  response->mutable_error_response()->set_error_code(code);
  response->mutable_error_response()->set_error_message(message);
}

void NotFound(const std::string& what, ServerReflectionResponse* response) {
  SetError(grpc::StatusCode::NOT_FOUND, absl::StrCat("this server has no ", what), response);
}

// `file`, then what it imports and the stream has not had.
void AppendFile(const FileDescriptor* file, std::set<std::string>* sent,
                ServerReflectionResponse* response) {
  google::protobuf::FileDescriptorProto proto;
  file->CopyTo(&proto);
  response->mutable_file_descriptor_response()->add_file_descriptor_proto(
      proto.SerializeAsString());
  sent->insert(file->name());
  for (int i = 0; i < file->dependency_count(); ++i) {
    const FileDescriptor* imported = file->dependency(i);
    if (sent->count(imported->name()) == 0) AppendFile(imported, sent, response);
  }
}

}  // namespace

DescriptorIndex::DescriptorIndex(const std::vector<const FileDescriptor*>& files) {
  for (const FileDescriptor* file : files) {
    for (int i = 0; i < file->service_count(); ++i) {
      services_.push_back(file->service(i)->full_name());
    }
    AddFile(file);
  }
}

void DescriptorIndex::AddFile(const FileDescriptor* file) {
  if (!files_.emplace(file->name(), file).second) return;
  for (int i = 0; i < file->service_count(); ++i) {
    const ServiceDescriptor* service = file->service(i);
    symbols_.emplace(service->full_name(), file);
    for (int m = 0; m < service->method_count(); ++m) {
      symbols_.emplace(service->method(m)->full_name(), file);
    }
  }
  for (int i = 0; i < file->message_type_count(); ++i) AddMessage(file->message_type(i));
  for (int i = 0; i < file->enum_type_count(); ++i) AddEnum(file->enum_type(i));
  for (int i = 0; i < file->dependency_count(); ++i) AddFile(file->dependency(i));
}

void DescriptorIndex::AddMessage(const Descriptor* message) {
  symbols_.emplace(message->full_name(), message->file());
  for (int i = 0; i < message->field_count(); ++i) {
    symbols_.emplace(message->field(i)->full_name(), message->file());
  }
  for (int i = 0; i < message->oneof_decl_count(); ++i) {
    symbols_.emplace(message->oneof_decl(i)->full_name(), message->file());
  }
  for (int i = 0; i < message->nested_type_count(); ++i) AddMessage(message->nested_type(i));
  for (int i = 0; i < message->enum_type_count(); ++i) AddEnum(message->enum_type(i));
}

void DescriptorIndex::AddEnum(const EnumDescriptor* type) {
  symbols_.emplace(type->full_name(), type->file());
  for (int i = 0; i < type->value_count(); ++i) {
    symbols_.emplace(type->value(i)->full_name(), type->file());
  }
}

ServerReflectionResponse DescriptorIndex::Answer(const ServerReflectionRequest& request,
                                                 std::set<std::string>* sent) const {
  Response response;
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case ServerReflectionRequest::kListServices:
      ListServices(&response);
      break;
    case ServerReflectionRequest::kFileByFilename: {
      const auto file = files_.find(request.file_by_filename());
      SendFile(file == files_.end() ? nullptr : file->second, "such file", sent, &response);
      break;
    }
    case ServerReflectionRequest::kFileContainingSymbol:
      SendFile(FileOf(request.file_containing_symbol()), "such symbol", sent, &response);
      break;
    case ServerReflectionRequest::kFileContainingExtension:
      NotFound("extensions", &response);
      break;
    case ServerReflectionRequest::kAllExtensionNumbersOfType: {
      const std::string& type = request.all_extension_numbers_of_type();
      if (FileOf(type) == nullptr) {
        NotFound("such message", &response);
      } else {  // None: proto3 has no extensions.
        response.mutable_all_extension_numbers_response()->set_base_type_name(type);
      }
      break;
    }
    case ServerReflectionRequest::MESSAGE_REQUEST_NOT_SET:
      SetError(grpc::StatusCode::INVALID_ARGUMENT, "nothing is asked for", &response);
      break;
  }
  return response;
}

void DescriptorIndex::ListServices(Response* response) const {
  for (const std::string& name : services_) {
    response->mutable_list_services_response()->add_service()->set_name(name);
  }
}

void DescriptorIndex::SendFile(const FileDescriptor* file, const std::string& asked,
                               std::set<std::string>* sent, Response* response) const {
  if (file == nullptr) return NotFound(asked, response);
  AppendFile(file, sent, response);
}

const FileDescriptor* DescriptorIndex::FileOf(const std::string& symbol) const {
  const auto found = symbols_.find(symbol);
  return found == symbols_.end() ? nullptr : found->second;
}

}  // namespace hmar
