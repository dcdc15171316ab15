#include "model/checkpoint.h"

#include <bit>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace hmar {
namespace {

static_assert(std::endian::native == std::endian::little, "weight files are little-endian");

struct DTypeRow {
  DType dtype;
  const char* name;
  size_t size;  // Bytes.
};

constexpr DTypeRow kDTypes[] = {
    {DType::kFloat32, "F32", 4}, {DType::kFloat16, "F16", 2}, {DType::kBFloat16, "BF16", 2},
    {DType::kFloat64, "F64", 8}, {DType::kInt64, "I64", 8},   {DType::kInt32, "I32", 4},
    {DType::kInt16, "I16", 2},   {DType::kInt8, "I8", 1},     {DType::kUInt8, "U8", 1},
    {DType::kBool, "BOOL", 1},
};

const DTypeRow& RowOf(DType dtype) { return kDTypes[static_cast<size_t>(dtype)]; }

static_assert(
    [] {
      for (size_t i = 0; i < std::size(kDTypes); ++i) {
        if (kDTypes[i].dtype != static_cast<DType>(i)) return false;
      }
      return true;
    }(),
    "the table is in the enum's order");

}  // namespace

const char* DTypeName(DType dtype) { return RowOf(dtype).name; }

size_t DTypeSize(DType dtype) { return RowOf(dtype).size; }

std::optional<DType> DTypeByName(const std::string& name) {
  for (const DTypeRow& row : kDTypes) {
    if (name == row.name) return row.dtype;
  }
  return std::nullopt;
}

bool IsWeightType(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat16 || dtype == DType::kBFloat16;
}

int64_t TensorInfo::elements() const {
  int64_t elements = 1;
  for (const int64_t size : shape) elements *= size;
  return elements;
}

std::string ShapeText(absl::Span<const int64_t> shape) {
  return absl::StrCat("(", absl::StrJoin(shape, ", "), ")");
}

std::string QuotedName(const std::string& name) {
  constexpr size_t kMaxShown = 200;
  const bool cut = name.size() > kMaxShown;
  return absl::StrCat("\"", absl::CHexEscape(name.substr(0, kMaxShown)), cut ? "...\"" : "\"");
}

std::optional<int64_t> CheckedElements(DType dtype, absl::Span<const int64_t> shape) {
  const int64_t limit = (int64_t{1} << 46) / static_cast<int64_t>(DTypeSize(dtype));
  if (shape.size() > kMaxDims) return std::nullopt;
  int64_t elements = 1;
  bool zero = false;
  for (const int64_t size : shape) {
    if (size < 0) return std::nullopt;
    // A zero makes the product zero, but the other dimensions must not overflow before it either:
    // elements() multiplies them in order.
    zero = zero || size == 0;
    if (size > 0 && elements >= limit / size + (limit % size != 0)) return std::nullopt;
    if (size > 0) elements *= size;
  }
  return zero ? 0 : elements;
}

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenCheckpoint(const std::string& path) {
  if (absl::EndsWith(path, ".safetensors")) return OpenSafetensors(path);
  if (absl::EndsWith(path, ".pth") || absl::EndsWith(path, ".pt")) return OpenPth(path);
  return absl::InvalidArgumentError(absl::StrCat(path, ": must end in .safetensors, .pth or .pt"));
}

}  // namespace hmar
