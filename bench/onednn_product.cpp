// The exact product by oneDNN, as a module of its own: what needs oneDNN is loaded only where there is oneDNN.
#include <algorithm>
#include <dnnl.hpp>
#include <vector>

#include "bench/exact_products.h"

namespace mithral::bench {
namespace {

using dnnl::memory;

template <typename T>
std::vector<T> rounded(const float* values, int64_t count) {
  std::vector<T> result(count);
  std::transform(values, values + count, result.begin(),
                 [](float value) { return static_cast<T>(std::clamp(value, 0.0f, 127.0f)); });
  return result;
}

// Column-major products are row-major ones of the transposed matrices: y^T = b^T x^T. The matrix on the left is
// unsigned and the one on the right signed, as the instructions for 8 bits want them. On the right, the fixed matrix is
// brought into whatever layout oneDNN prefers, beforehand.
class OnednnProduct : public ExactProduct {
 public:
  OnednnProduct(const Product& p, bool int8) : stream_(engine_) {
    const bool rows = p.order == Order::kRows;
    const memory::dims left_dims = rows ? memory::dims{p.shape.n, p.shape.d} : memory::dims{p.shape.m, p.shape.d};
    const memory::dims right_dims = rows ? memory::dims{p.shape.d, p.shape.m} : memory::dims{p.shape.d, p.shape.n};
    const float *left = rows ? p.x : p.b, *right = rows ? p.b : p.x;
    using Type = memory::data_type;
    const Type left_type = int8 ? Type::u8 : Type::f32, right_type = int8 ? Type::s8 : Type::f32;
    if (int8) {
      left_bytes_ = rounded<uint8_t>(left, left_dims[0] * left_dims[1]);
      right_bytes_ = rounded<int8_t>(right, right_dims[0] * right_dims[1]);
    }
    const auto plain = memory::format_tag::ab;
    const memory::desc right_plain(right_dims, right_type, plain);
    const memory::desc right_wanted =
        rows ? memory::desc(right_dims, right_type, memory::format_tag::any) : right_plain;
    const memory::desc y_plain({left_dims[0], right_dims[1]}, int8 ? Type::s32 : Type::f32, plain);
    const dnnl::matmul::primitive_desc chosen(
        dnnl::matmul::desc(memory::desc(left_dims, left_type, plain), right_wanted, y_plain), engine_);

    left_ =
        memory(chosen.src_desc(), engine_, int8 ? static_cast<void*>(left_bytes_.data()) : const_cast<float*>(left));
    memory given(right_plain, engine_, int8 ? static_cast<void*>(right_bytes_.data()) : const_cast<float*>(right));
    right_ = given;
    if (chosen.weights_desc() != right_plain) {
      right_ = memory(chosen.weights_desc(), engine_);
      dnnl::reorder(given, right_).execute(stream_, given, right_);
      stream_.wait();
    }
    y_ = memory(chosen.dst_desc(), engine_, p.y);
    matmul_ = dnnl::matmul(chosen);
  }

  void run() override {
    matmul_.execute(stream_, {{DNNL_ARG_SRC, left_}, {DNNL_ARG_WEIGHTS, right_}, {DNNL_ARG_DST, y_}});
    stream_.wait();
  }

 private:
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_;
  std::vector<uint8_t> left_bytes_;
  std::vector<int8_t> right_bytes_;
  memory left_, right_, y_;
  dnnl::matmul matmul_;
};

}  // namespace
}  // namespace mithral::bench

extern "C" __attribute__((visibility("default"))) mithral::bench::ExactProduct* mithral_bench_prepare_onednn(
    const mithral::bench::Product& product, bool int8) {
  return new mithral::bench::OnednnProduct(product, int8);
}
