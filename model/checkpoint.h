#ifndef HMAR_MODEL_CHECKPOINT_H_
#define HMAR_MODEL_CHECKPOINT_H_

// Weight files: named tensors on disk. No torch here.

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace hmar {

enum class DType {
  kFloat32,
  kFloat16,
  kBFloat16,
  kFloat64,
  kInt64,
  kInt32,
  kInt16,
  kInt8,
  kUInt8,
  kBool
};

const char* DTypeName(DType dtype);                         // "F32", "F16", ... as in safetensors.
std::optional<DType> DTypeByName(const std::string& name);  // Nothing for names it does not know.
size_t DTypeSize(DType dtype);                              // Bytes an element.
bool IsWeightType(DType dtype);  // F32, F16 or BF16: what a weight may be stored as.

struct TensorInfo {
  DType dtype = DType::kFloat32;
  std::vector<int64_t> shape;  // Row-major. Empty: a scalar.

  int64_t elements() const;  // Product of the shape; opening a file has checked that it fits.
};

// For messages. "(3, 4)"; "()" for a scalar.
std::string ShapeText(absl::Span<const int64_t> shape);
// A name from a file, in quotes, with what could garble a log line escaped and what is long cut.
std::string QuotedName(const std::string& name);

constexpr size_t kMaxDims = 16;  // Dimensions of a tensor in a file.

// The elements of a tensor with `shape`, or nothing if a dimension is negative, there are more than
// kMaxDims of them, or the elements take 2^46 bytes (64 TiB) or more: sums of a few such sizes are
// safe.
std::optional<int64_t> CheckedElements(DType dtype, absl::Span<const int64_t> shape);

// An opened weight file. Safe from any thread. Opening checks everything a file claims (sizes,
// offsets, overlaps, names) against the file's length, so that no later read can leave it; a bad
// file is INVALID_ARGUMENT with the file's name, the tensor's and what was found and wanted; a
// missing one NOT_FOUND. The file must not change in place while it is open.
class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  const std::string& path() const { return path_; }
  const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }

  // The tensor's elements, row-major without gaps, little-endian, aligned for their type. `buffer`
  // is used when the file does not hold them in that form (the result then points into it);
  // otherwise the result points into the file's mapping and lives as long as the checkpoint.
  // REQUIRES: tensors() has `name`. DATA_LOSS on an unreadable file.
  virtual absl::StatusOr<absl::Span<const uint8_t>> Read(const std::string& name,
                                                         std::vector<uint8_t>* buffer) const = 0;

  // SHA-256, as lower-case hex, of the file that Read reads, whatever has come to lie under its
  // name since it was opened. Reads it from end to end. DATA_LOSS on an unreadable file.
  virtual absl::StatusOr<std::string> Sha256() const = 0;

 protected:
  Checkpoint(std::string path, std::map<std::string, TensorInfo> tensors)
      : path_(std::move(path)), tensors_(std::move(tensors)) {}

 private:
  const std::string path_;
  const std::map<std::string, TensorInfo> tensors_;
};

// Opens a safetensors file (8-byte header length, JSON header, raw data; the header is at most
// 100 MB).
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenSafetensors(const std::string& path);

// Opens a PyTorch state dict saved by torch.save (zip with a pickle of plain tensors, all stored
// without compression). Runs no
// pickled code: a small machine understands exactly the opcodes and the few globals that state
// dicts use; any other is an error that names it. Where the file holds more than the state dict,
// the state dict may stand under one of the keys "model", "module" and "state_dict".
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenPth(const std::string& path);

// By the file's ending: .safetensors, .pth or .pt.
absl::StatusOr<std::unique_ptr<Checkpoint>> OpenCheckpoint(const std::string& path);

}  // namespace hmar

#endif  // HMAR_MODEL_CHECKPOINT_H_
