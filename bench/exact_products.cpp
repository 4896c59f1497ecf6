#include "bench/exact_products.h"

#include <dlfcn.h>

#include <cstdlib>
#include <stdexcept>

#include "bench/eigen_product.h"
#include "runtime/host.h"

namespace mithral::bench {
namespace {

class EigenProduct : public ExactProduct {
 public:
  explicit EigenProduct(const Product& product) : p_(product) {}
  void run() override {
    const auto product = p_.order == Order::kRows ? eigen_product_rows : eigen_product_cols;
    product(p_.x, p_.b, static_cast<float*>(p_.y), p_.shape.n, p_.shape.d, p_.shape.m);
  }

 private:
  Product p_;
};

// The part of CBLAS that is called.
enum CblasOrder { kCblasRowMajor = 101, kCblasColMajor = 102 };
enum CblasTranspose { kCblasNoTrans = 111, kCblasTrans = 112 };
using Sgemm = void(CblasOrder, CblasTranspose, CblasTranspose, int m, int n, int k, float alpha, const float* a,
                   int lda, const float* b, int ldb, float beta, float* c, int ldc);
using Sgemv = void(CblasOrder, CblasTranspose, int m, int n, float alpha, const float* a, int lda, const float* x,
                   int incx, float beta, float* y, int incy);
struct Blas {
  Sgemm* sgemm = nullptr;
  Sgemv* sgemv = nullptr;
};

// A single row is a product of a matrix and a vector: what a user of BLAS would call.
class BlasProduct : public ExactProduct {
 public:
  BlasProduct(const Blas& blas, const Product& product) : blas_(blas), p_(product) {}
  void run() override {
    const int n = static_cast<int>(p_.shape.n), d = static_cast<int>(p_.shape.d), m = static_cast<int>(p_.shape.m);
    const bool rows = p_.order == Order::kRows;
    const CblasOrder order = rows ? kCblasRowMajor : kCblasColMajor;
    auto* y = static_cast<float*>(p_.y);
    if (n == 1) {
      blas_.sgemv(order, kCblasTrans, d, m, 1, p_.b, rows ? m : d, p_.x, 1, 0, y, 1);
    } else {
      blas_.sgemm(order, kCblasNoTrans, kCblasNoTrans, n, m, d, 1, p_.x, rows ? d : n, p_.b, rows ? m : d, 0, y,
                  rows ? m : n);
    }
  }

 private:
  Blas blas_;
  Product p_;
};

// Libraries define the same symbols, so each keeps its own to itself. They stay loaded. `error` says why one cannot be.
void* load(const char* file, std::string& error) {
  void* library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (!library) error = dlerror();
  return library;
}

template <typename Function>
Function* find(void* library, const char* symbol, std::string& error) {
  if (!library) return nullptr;
  void* address = dlsym(library, symbol);
  if (!address) error = dlerror();
  return reinterpret_cast<Function*>(address);
}

Library blas_library(const char* name, const char* file) {
  Library result{name, "", nullptr};
  void* handle = load(file, result.missing);
  const Blas blas{find<Sgemm>(handle, "cblas_sgemm", result.missing),
                  find<Sgemv>(handle, "cblas_sgemv", result.missing)};
  result.prepare = [blas](const Product& product) { return std::make_unique<BlasProduct>(blas, product); };
  return result;
}

Library onednn_library(const char* name, bool int8) {
  Library result{name, "", nullptr};
  auto* prepare = find<PrepareOnednn>(load(MITHRAL_BENCH_ONEDNN, result.missing), kPrepareOnednn, result.missing);
  result.prepare = [prepare, int8](const Product& product) {
    return std::unique_ptr<ExactProduct>(prepare(product, int8));
  };
  return result;
}

// Small integers, whose sums every type holds exactly. Sizes that are multiples of nothing.
void check(const Library& library, const Shape& shape, Order order) {
  const Buffer x(shape.n * shape.d * 4), b(shape.d * shape.m * 4), y(shape.n * shape.m * 4);
  const auto x_at = view(x.as<float>(), shape.n, shape.d, order);
  const auto b_at = view(b.as<float>(), shape.d, shape.m, order);
  for (int64_t i = 0; i < shape.n; ++i) {
    for (int64_t k = 0; k < shape.d; ++k) x_at(i, k) = static_cast<float>((i * 5 + k * 3) % 11);
  }
  for (int64_t k = 0; k < shape.d; ++k) {
    for (int64_t j = 0; j < shape.m; ++j) b_at(k, j) = static_cast<float>((k * 7 + j) % 9);
  }
  library.prepare({shape, order, x.as<float>(), b.as<float>(), y.as<void>()})->run();
  const bool integers = library.name.find("int8") != std::string::npos;
  for (int64_t i = 0; i < shape.n; ++i) {
    for (int64_t j = 0; j < shape.m; ++j) {
      float expected = 0;
      for (int64_t k = 0; k < shape.d; ++k) expected += x_at(i, k) * b_at(k, j);
      const float got = integers ? static_cast<float>(view(y.as<int32_t>(), shape.n, shape.m, order)(i, j))
                                 : view(y.as<float>(), shape.n, shape.m, order)(i, j);
      if (got != expected) throw std::runtime_error(library.name + " multiplies wrongly: " + name_of(shape));
    }
  }
}

std::vector<Library> load_libraries() {
  for (const char* variable : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS"}) {
    setenv(variable, "1", 1);  // read while they are loaded
  }
  std::vector<Library> libraries = {
      {"eigen/float32", host_runs(Isa::kAvx2) ? "" : "it is compiled for AVX2",
       [](const Product& product) { return std::make_unique<EigenProduct>(product); }},
      blas_library("openblas/float32", "libopenblas.so.0"),
      blas_library("blis/float32", "libblis.so.4"),
      onednn_library("onednn/float32", false),
      onednn_library("onednn/int8", true),
  };
  for (const Library& library : libraries) {
    if (!library.missing.empty()) continue;
    for (const Order order : kOrders) {
      check(library, {37, 29, 23}, order);
      check(library, {1, 29, 23}, order);
    }
  }
  return libraries;
}

}  // namespace

const std::vector<Library>& exact_libraries() {
  static const std::vector<Library> libraries = load_libraries();
  return libraries;
}

}  // namespace mithral::bench
