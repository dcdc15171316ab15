#include "tests/model/weight_files.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace hmar {
namespace {

template <typename T>
std::string LittleEndian(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

uint32_t Crc32(const std::string& bytes) {
  uint32_t crc = ~uint32_t{0};
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

// What a local header and a directory record of one entry have in common.
std::string ZipFields(const std::string& name, const std::string& data) {
  const auto size = static_cast<uint32_t>(data.size());
  return absl::StrCat(LittleEndian<uint16_t>(20), LittleEndian<uint16_t>(0),
                      LittleEndian<uint16_t>(0), LittleEndian<uint32_t>(0x00210000),
                      LittleEndian(Crc32(data)), LittleEndian(size), LittleEndian(size),
                      LittleEndian(static_cast<uint16_t>(name.size())), LittleEndian<uint16_t>(0));
}

}  // namespace

TempFolder::TempFolder() {
  path_ = ::testing::TempDir() + "hmar-test-XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) abort();
}

TempFolder::~TempFolder() { std::filesystem::remove_all(path_); }

std::string TempFolder::Write(const std::string& name, const std::string& bytes) const {
  const std::string path = *this / name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) abort();
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string Safetensors(const std::string& header_json, const std::string& data) {
  return LittleEndian<uint64_t>(header_json.size()) + header_json + data;
}

std::string SafetensorsOfShapes(const std::map<std::string, std::vector<int64_t>>& shapes,
                                float value) {
  std::vector<std::string> entries;
  std::string data;
  for (const auto& [name, shape] : shapes) {
    const size_t begin = data.size();
    const int64_t elements = TensorInfo{.shape = shape}.elements();
    for (int64_t i = 0; i < elements; ++i) data += LittleEndian(value);
    entries.push_back(absl::StrCat("\"", name, "\":{\"dtype\":\"F32\",\"shape\":[",
                                   absl::StrJoin(shape, ","), "],\"data_offsets\":[", begin, ",",
                                   data.size(), "]}"));
  }
  return Safetensors(absl::StrCat("{", absl::StrJoin(entries, ","), "}"), data);
}

std::string Zip(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string locals;
  std::string directory;
  for (const auto& [name, data] : entries) {
    const auto at = static_cast<uint32_t>(locals.size());
    const std::string fields = ZipFields(name, data);
    absl::StrAppend(&locals, "PK\x03\x04", fields, name, data);
    absl::StrAppend(&directory, "PK\x01\x02", LittleEndian<uint16_t>(20), fields,
                    std::string(10, '\0'), LittleEndian(at), name);
  }
  const auto count = static_cast<uint16_t>(entries.size());
  return absl::StrCat(locals, directory, "PK\x05\x06", std::string(4, '\0'), LittleEndian(count),
                      LittleEndian(count), LittleEndian(static_cast<uint32_t>(directory.size())),
                      LittleEndian(static_cast<uint32_t>(locals.size())), std::string(2, '\0'));
}

std::string TorchZip(const std::string& pickle,
                     const std::vector<std::pair<std::string, std::string>>& storages) {
  std::vector<std::pair<std::string, std::string>> entries = {{"archive/data.pkl", pickle}};
  for (const auto& [key, bytes] : storages) entries.emplace_back("archive/data/" + key, bytes);
  return Zip(entries);
}

namespace pickled {

std::string Text(const std::string& text) {
  return absl::StrCat("\x8c", std::string(1, static_cast<char>(text.size())), text);
}

std::string Int(int64_t value) { return "\x8a\x08" + LittleEndian(value); }

std::string Tuple(const std::vector<std::string>& items) {
  return absl::StrCat("(", absl::StrJoin(items, ""), "t");
}

std::string Global(const std::string& module, const std::string& name) {
  return absl::StrCat("c", module, "\n", name, "\n");
}

std::string Call(const std::string& global, const std::string& arguments_tuple) {
  return absl::StrCat(global, arguments_tuple, "R");
}

std::string Dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string body;
  for (const auto& [key, value] : items) absl::StrAppend(&body, Text(key), value);
  return absl::StrCat("}(", body, "u");
}

std::string Storage(const std::string& type, const std::string& key, int64_t elements) {
  return Tuple({Text("storage"), Global("torch", type), Text(key), Text("cpu"), Int(elements)}) +
         "Q";
}

std::string Tensor(const std::string& storage, int64_t offset, const std::vector<int64_t>& shape,
                   const std::vector<int64_t>& strides) {
  std::vector<std::string> sizes;
  for (const int64_t size : shape) sizes.push_back(Int(size));
  std::vector<std::string> steps;
  for (const int64_t stride : strides) steps.push_back(Int(stride));
  const std::string hooks = Call(Global("collections", "OrderedDict"), ")");
  return Call(Global("torch._utils", "_rebuild_tensor_v2"),
              Tuple({storage, Int(offset), Tuple(sizes), Tuple(steps), "\x89", hooks}));
}

std::string Program(const std::string& body) { return absl::StrCat("\x80\x02", body, "."); }

}  // namespace pickled

std::vector<float> Floats(const Checkpoint& checkpoint, const std::string& name) {
  std::vector<uint8_t> buffer;
  const auto bytes = checkpoint.Read(name, &buffer);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(checkpoint.tensors().at(name).dtype, DType::kFloat32);
  if (!bytes.ok()) return {};
  std::vector<float> values(bytes->size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bytes->data(), bytes->size());
  return values;
}

}  // namespace hmar
