// The exact product by the libraries that people would use instead, each on one thread. Those that the system lacks are
// known by name, with the reason.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/problem.h"

namespace mithral::bench {

// y (n x m) = x (n x d) * b (d x m), all three in `order`. b stays the same: it may be packed beforehand.
struct Product {
  Shape shape;
  Order order;
  const float* x;
  const float* b;
  void* y;  // float32; int32 of a library for 8-bit integers
};

class ExactProduct {
 public:
  virtual ~ExactProduct() = default;
  virtual void run() = 0;
};

struct Library {
  std::string name;     // "openblas/float32"
  std::string missing;  // why it cannot be used; empty where it can
  // Libraries for 8-bit integers round x and b, to between 0 and 127, here and not in `run`.
  std::function<std::unique_ptr<ExactProduct>(const Product&)> prepare;
};

// Loaded at the first call. Throws std::runtime_error if one of them multiplies wrongly.
const std::vector<Library>& exact_libraries();

// What onednn_product.cpp, which is loaded at run time, exports.
inline constexpr char kPrepareOnednn[] = "mithral_bench_prepare_onednn";
using PrepareOnednn = ExactProduct*(const Product&, bool int8);

}  // namespace mithral::bench
