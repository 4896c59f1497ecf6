// Builds binary formats field by field, in the byte order of x86.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "codegen/model/multiples.h"

namespace mithral::jit {

class ByteWriter {
 public:
  size_t size() const { return bytes_.size(); }
  std::vector<uint8_t> take() { return std::move(bytes_); }

  // Numbers and plain structs, as they lie in memory.
  template <typename T>
  void put(const T& value) {
    for (const uint8_t byte : bytes_of(value)) bytes_.push_back(byte);
  }
  void put_bytes(std::span<const uint8_t> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  void put_text(std::string_view text) {
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    bytes_.push_back(0);
  }
  void pad_to_multiple(size_t multiple, uint8_t with = 0) { bytes_.resize(round_up(bytes_.size(), multiple), with); }

  // Overwrites a field whose value was not known yet.
  template <typename T>
  void patch(size_t offset, const T& value) {
    std::ranges::copy(bytes_of(value), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
  }

 private:
  template <typename T>
  static std::array<uint8_t, sizeof(T)> bytes_of(const T& value) {
    static_assert(std::has_unique_object_representations_v<T>, "padding would be written");
    return std::bit_cast<std::array<uint8_t, sizeof(T)>>(value);
  }

  std::vector<uint8_t> bytes_;
};

}  // namespace mithral::jit
