// What is measured: shapes, models like those that the trainer makes, and memory for their inputs and outputs.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

#include "codegen/model/matrix_view.h"
#include "codegen/model/model.h"

namespace mithral::bench {

struct Shape {
  int64_t n, d, m;
};
std::string name_of(const Shape& shape);  // "10000x512x10"

enum class Order { kRows, kColumns };  // which of them are contiguous
inline constexpr Order kOrders[] = {Order::kRows, Order::kColumns};
const char* name_of(Order order);

template <typename T>
MatrixView<T> view(T* data, int64_t rows, int64_t cols, Order order) {
  return order == Order::kRows ? row_major(data, rows, cols) : col_major(data, rows, cols);
}

inline constexpr int64_t kDepth = 4;  // where nothing else is said

// The largest table entry of a codebook.
using EntryRange = std::function<int(int64_t codebook)>;
int trained_range(int64_t codebook);  // first ones wide, later ones narrow: max(12, 120 * 0.9^codebook)

// Split columns anywhere, thresholds normal, tables uniform from 0 to the codebook's range.
Model make_model(const Shape& shape, int64_t n_codebooks, int64_t depth = kDepth,
                 const EntryRange& range = trained_range);

// Linear dims alone, as many as the shape has columns: values of X spread over the seven bits, weights of any size.
Model make_linear_model(const Shape& shape);

inline constexpr int64_t kLineBytes = 64;

// Bytes of the cache lines of x that the model's kernels have to read.
int64_t bytes_read(const Model& model, int64_t n_rows, Order order);

// Memory from the start of a cache line on, or `offset` bytes behind it; its pages are there.
class Buffer {
 public:
  explicit Buffer(int64_t bytes, int64_t offset = 0);
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(bytes_.get() + offset_);
  }

 private:
  struct Free {
    void operator()(uint8_t* bytes) const { std::free(bytes); }
  };
  std::unique_ptr<uint8_t, Free> bytes_;
  int64_t offset_;
};

// Normal values, which repeat themselves after a while.
Buffer normal_floats(int64_t count, uint64_t seed, int64_t offset = 0);

}  // namespace mithral::bench
