#include "model/cuda/weight_reader.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "absl/types/span.h"
#include "model/status_macros.h"

namespace hmar {
namespace {

float FloatOfBf16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

// IEEE binary16.
float FloatOfHalf(uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1F;
  const int mantissa = bits & 0x3FF;
  const float sign = (bits & 0x8000) != 0 ? -1.0f : 1.0f;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  if (exponent == 31) return mantissa == 0 ? sign * INFINITY : NAN;
  return sign * std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
}

// Every half's value: conversion by look-up is ten times as fast.
std::vector<float> HalfTable() {
  std::vector<float> table(1 << 16);
  for (uint32_t bits = 0; bits < table.size(); ++bits) {
    table[bits] = FloatOfHalf(static_cast<uint16_t>(bits));
  }
  return table;
}

template <typename T>
absl::Span<const T> As(absl::Span<const uint8_t> bytes) {
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

}  // namespace

uint16_t Bf16Bits(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  const uint32_t quiet_nan = (bits >> 16) | 0x40;
  return static_cast<uint16_t>((bits & 0x7FFFFFFF) > 0x7F800000 ? quiet_nan : rounded);
}

std::vector<std::string> WeightReader::names() const {
  std::vector<std::string> names;
  for (const auto& [name, info] : checkpoint_->tensors()) names.push_back(name);
  return names;
}

absl::StatusOr<std::vector<float>> WeightReader::Floats(const std::string& name) {
  HMAR_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> bytes, checkpoint_->Read(name, &buffer_));
  std::vector<float> floats(checkpoint_->tensors().at(name).elements());
  switch (checkpoint_->tensors().at(name).dtype) {
    case DType::kFloat16: {
      static const std::vector<float>* const table = new std::vector<float>(HalfTable());
      const auto halves = As<uint16_t>(bytes);
      for (size_t i = 0; i < floats.size(); ++i) floats[i] = (*table)[halves[i]];
      break;
    }
    case DType::kBFloat16: {
      const auto bits = As<uint16_t>(bytes);
      for (size_t i = 0; i < floats.size(); ++i) floats[i] = FloatOfBf16(bits[i]);
      break;
    }
    default:  // CheckTensors lets only the three weight types pass.
      std::memcpy(floats.data(), bytes.data(), bytes.size());
  }
  return floats;
}

absl::StatusOr<std::vector<uint16_t>> WeightReader::Bf16(const std::string& name) {
  const DType dtype = checkpoint_->tensors().at(name).dtype;
  std::vector<uint16_t> bits(checkpoint_->tensors().at(name).elements());
  if (dtype == DType::kFloat16) {
    HMAR_ASSIGN_OR_RETURN(const std::vector<float> floats, Floats(name));
    for (size_t i = 0; i < bits.size(); ++i) bits[i] = Bf16Bits(floats[i]);
    return bits;
  }
  HMAR_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> bytes, checkpoint_->Read(name, &buffer_));
  if (dtype == DType::kBFloat16) {
    std::memcpy(bits.data(), bytes.data(), bytes.size());
    return bits;
  }
  const auto floats = As<float>(bytes);
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = Bf16Bits(floats[i]);
  return bits;
}

}  // namespace hmar
