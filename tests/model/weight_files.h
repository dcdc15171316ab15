#ifndef HMAR_TESTS_MODEL_WEIGHT_FILES_H_
#define HMAR_TESTS_MODEL_WEIGHT_FILES_H_

// Writers of weight files, sound and malformed, for the tests of the readers.

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/checkpoint.h"

namespace hmar {

// A folder of its own, removed at the end.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

  // Returns the file's path.
  std::string Write(const std::string& name, const std::string& bytes) const;

 private:
  std::string path_;
};

std::string ReadFile(const std::string& path);  // Aborts the test program if it cannot.

// A safetensors file: header length, header, data.
std::string Safetensors(const std::string& header_json, const std::string& data);

// One with F32 tensors of these shapes, all elements `value`.
std::string SafetensorsOfShapes(const std::map<std::string, std::vector<int64_t>>& shapes,
                                float value = 0);

// A zip archive of stored entries with sound CRCs.
std::string Zip(const std::vector<std::pair<std::string, std::string>>& entries);

// A zip archive as torch.save lays it out: root/data.pkl and root/data/KEY.
std::string TorchZip(const std::string& pickle,
                     const std::vector<std::pair<std::string, std::string>>& storages);

// Pieces of a pickle.
namespace pickled {

std::string Text(const std::string& text);  // Up to 255 bytes.
std::string Int(int64_t value);             // LONG1
std::string Tuple(const std::vector<std::string>& items);
std::string Global(const std::string& module, const std::string& name);
std::string Call(const std::string& global, const std::string& arguments_tuple);
std::string Dict(const std::vector<std::pair<std::string, std::string>>& items);
std::string Storage(const std::string& type, const std::string& key, int64_t elements);
std::string Tensor(const std::string& storage, int64_t offset, const std::vector<int64_t>& shape,
                   const std::vector<int64_t>& strides);
std::string Program(const std::string& body);  // PROTO 2, body, STOP.

}  // namespace pickled

// The tensor's elements as float; the tensor must be F32.
std::vector<float> Floats(const Checkpoint& checkpoint, const std::string& name);

}  // namespace hmar

#endif  // HMAR_TESTS_MODEL_WEIGHT_FILES_H_
