// Which 64-byte lines of a row the columns of a model lie in: what row-major input costs to read.
#pragma once

#include <cstdint>
#include <iterator>
#include <vector>

#include "codegen/model/cache_line.h"

namespace mithral::train_internal {

class CacheLines {
 public:
  explicit CacheLines(int64_t n_features) : read_(line_of(static_cast<int32_t>(n_features - 1)) + 1) {}

  void add(int32_t column) { read_[line_of(column)] = true; }
  bool is_read(int32_t column) const { return read_[line_of(column)]; }
  int64_t n_lines() const { return std::ssize(read_); }  // of a row
  int64_t count() const {
    int64_t lines = 0;
    for (const bool read : read_) lines += read ? 1 : 0;
    return lines;
  }

 private:
  std::vector<bool> read_;
};

}  // namespace mithral::train_internal
