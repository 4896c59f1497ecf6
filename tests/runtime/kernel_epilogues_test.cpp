// What kernels return beside float32 outputs, against the definitions over the reference's outputs: every backend and
// ISA, byte for byte, with values that tie, overflow or have a signed zero.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "codegen/model/error.h"
#include "codegen/model/reference.h"
#include "runtime/host.h"
#include "runtime/kernel.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/random.h"

namespace mithral {
namespace {

using testing::Flush;
using testing::GuardedBuffer;

constexpr int64_t kRowCounts[] = {0, 1, 31, 64, 203};
constexpr int64_t kMaxRows = 203;
constexpr int64_t kFeatures = 16;

// How scales and offsets are chosen.
enum class Values {
  kAny,
  kTies,      // one scale and one offset, a few table entries: many equal outputs
  kInfinite,  // products that overflow, to both sides
  kZeros,     // products and sums that are zeros of both signs
};
constexpr Values kAllValues[] = {Values::kAny, Values::kTies, Values::kInfinite, Values::kZeros};

Model make_model(uint64_t seed, const testing::Shape& shape, Values values) {
  std::mt19937_64 rng(seed);
  testing::ModelArrays arrays = testing::random_arrays(rng, shape, static_cast<testing::Entries>(seed % 3));
  constexpr float kLargest = std::numeric_limits<float>::max();
  for (int64_t m = 0; m < shape.n_outputs; ++m) {
    const float sign = rng() % 2 == 0 ? 1.0f : -1.0f;
    switch (values) {
      case Values::kAny: break;
      case Values::kTies: arrays.scale[m] = 0.5f, arrays.offset[m] = -3.0f; break;
      case Values::kInfinite: arrays.scale[m] = sign * kLargest, arrays.offset[m] = -sign * kLargest; break;
      case Values::kZeros: arrays.scale[m] = sign * 0.0f, arrays.offset[m] = m % 3 == 0 ? 0.0f : -0.0f; break;
    }
  }
  if (values == Values::kTies) {
    for (uint8_t& entry : arrays.lut) entry %= 3;
  }
  return Model(std::move(arrays));
}

// Whatever runs here, the interpreter only for small models. Of the generic kernels the build for the lowest ISA, too.
std::vector<Kernel> kernels(const Model& model, CompileOptions options = {}) {
  std::vector<Kernel> result;
  const auto add = [&](Backend backend) {
    options.backend = backend;
    result.push_back(compile(model, options));
  };
  for (const Isa isa : host().runnable) {
    options.isa = isa;
    add(Backend::kJit);
  }
  options.isa = all_isas().front();
  add(Backend::kGeneric);
  options.isa = std::nullopt;
  add(Backend::kGeneric);
  if (model.n_codebooks() * model.n_entries() * model.n_outputs() <= 1 << 13) add(Backend::kInterpreter);
  return result;
}

class Checker {
 public:
  Checker(const Model& model, uint64_t seed, Activation activation = Activation::kNone) : model_(model) {
    std::mt19937_64 rng(seed);
    input_ = testing::random_input(rng, kMaxRows * kFeatures);
    scores_.resize(kMaxRows * outputs());
    reference(model, row_major(input_.data(), kMaxRows, kFeatures), scores());
    if (activation == Activation::kRelu) {
      for (float& score : scores_) score = score > 0 ? score : 0.0f;
    }
    add_up_sums();
  }

  void check(const Kernel& kernel, int64_t n) const {
    SCOPED_TRACE(::testing::Message() << backend_name(kernel.backend()) << " " << isa_name(kernel.isa()) << ", " << n
                                      << " rows, " << outputs() << " outputs, " << model_.n_codebooks()
                                      << " codebooks, depth " << model_.trees().depth());
    const Flush flush = n % 2 == 0 ? Flush::kEnd : Flush::kStart;
    GuardedBuffer<float> rows(std::vector<float>(input_.begin(), input_.begin() + n * kFeatures), flush);
    const auto x = row_major<const float>(rows.data(), n, kFeatures);
    check_outputs(kernel, x, flush);
    check_sums(kernel, x, flush);
    check_argmax(kernel, x, flush);
    for (const int64_t k : {1, 3, 10, 64}) {
      if (k <= outputs()) check_top_k(kernel, x, k, flush);
    }
    check_top_k(kernel, x, std::min(outputs(), Kernel::kMaxTopK), flush);
  }

 private:
  int64_t outputs() const { return model_.n_outputs(); }
  MatrixView<float> scores() { return row_major(scores_.data(), kMaxRows, outputs()); }
  const float* scores_of(int64_t row) const { return &scores_[row * outputs()]; }

  void add_up_sums() {
    std::vector<uint8_t> codes(kMaxRows * model_.n_codebooks());
    reference_codes(model_.encoder(), row_major<const float>(input_.data(), kMaxRows, kFeatures),
                    row_major(codes.data(), kMaxRows, model_.n_codebooks()));
    for (int64_t row = 0; row < kMaxRows; ++row) {
      for (int64_t m = 0; m < outputs(); ++m) {
        int32_t sum = 0;
        for (int64_t c = 0; c < model_.n_codebooks(); ++c) {
          sum += model_.tables().entry(c, codes[row * model_.n_codebooks() + c], m);
        }
        sums_.push_back(sum);
      }
    }
  }

  void check_outputs(const Kernel& kernel, MatrixView<const float> x, Flush flush) const {
    for (const bool to_columns : {false, true}) {
      GuardedBuffer<float> buffer(x.rows * outputs(), flush);
      const auto y =
          to_columns ? col_major(buffer.data(), x.rows, outputs()) : row_major(buffer.data(), x.rows, outputs());
      kernel(x, y);
      for (int64_t row = 0; row < x.rows; ++row) {
        for (int64_t m = 0; m < outputs(); ++m) {
          ASSERT_EQ(std::memcmp(&y(row, m), &scores_of(row)[m], sizeof(float)), 0)
              << "row " << row << ", output " << m << ": got " << y(row, m) << ", want " << scores_of(row)[m];
        }
      }
    }
  }

  void check_sums(const Kernel& kernel, MatrixView<const float> x, Flush flush) const {
    for (const bool to_columns : {false, true}) {
      GuardedBuffer<int32_t> buffer(x.rows * outputs(), flush);
      const auto y =
          to_columns ? col_major(buffer.data(), x.rows, outputs()) : row_major(buffer.data(), x.rows, outputs());
      kernel.sums(x, y);
      for (int64_t row = 0; row < x.rows; ++row) {
        for (int64_t m = 0; m < outputs(); ++m) {
          ASSERT_EQ(y(row, m), sums_[row * outputs() + m]) << "row " << row << ", output " << m;
        }
      }
    }
  }

  void check_argmax(const Kernel& kernel, MatrixView<const float> x, Flush flush) const {
    GuardedBuffer<int64_t> buffer(x.rows, flush);
    kernel.argmax(x, col_major(buffer.data(), x.rows, 1));
    for (int64_t row = 0; row < x.rows; ++row) {
      const float* scores = scores_of(row);
      ASSERT_EQ(buffer.data()[row], std::max_element(scores, scores + outputs()) - scores) << "row " << row;
    }
  }

  void check_top_k(const Kernel& kernel, MatrixView<const float> x, int64_t k, Flush flush) const {
    GuardedBuffer<float> values(x.rows * k, flush);
    GuardedBuffer<int64_t> indices(x.rows * k, flush);
    kernel.top_k(x, row_major(values.data(), x.rows, k), col_major(indices.data(), x.rows, k));
    std::vector<int64_t> order(outputs());
    for (int64_t row = 0; row < x.rows; ++row) {
      const float* scores = scores_of(row);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
      for (int64_t i = 0; i < k; ++i) {
        ASSERT_EQ(indices.data()[i * x.rows + row], order[i]) << "row " << row << ", place " << i << " of " << k;
        ASSERT_EQ(std::memcmp(&values.data()[row * k + i], &scores[order[i]], sizeof(float)), 0)
            << "row " << row << ", place " << i << " of " << k << ": got " << values.data()[row * k + i] << ", want "
            << scores[order[i]];
      }
    }
  }

  const Model& model_;
  std::vector<float> input_, scores_;
  std::vector<int32_t> sums_;
};

class Epilogues : public ::testing::TestWithParam<testing::Shape> {
 protected:
  uint64_t seed() const { return 100 * GetParam().depth + GetParam().n_codebooks + GetParam().n_outputs; }

  static void check_all(const std::vector<Kernel>& all, const Checker& checker) {
    for (const Kernel& kernel : all) {
      for (const int64_t n : kRowCounts) {
        checker.check(kernel, n);
        if (HasFailure()) return;
      }
    }
  }
};

TEST_P(Epilogues, AgreeWithTheReference) {
  for (const Values values : kAllValues) {
    const Model model = make_model(seed(), GetParam(), values);
    check_all(kernels(model), Checker(model, seed()));
  }
}

TEST_P(Epilogues, AgreeWithTheReferenceAfterRelu) {
  for (const Values values : kAllValues) {
    const Model model = make_model(seed(), GetParam(), values);
    check_all(kernels(model, {.activation = Activation::kRelu}), Checker(model, seed(), Activation::kRelu));
  }
}

TEST(Epilogue, BiasIsAddedToTheOffset) {
  const Model model = testing::random_model(7, {kFeatures, 5, 3, 4});
  const std::vector<float> bias = {0.1f, -3e38f, 0.0f, 1e-42f, 7.0f};
  testing::ModelArrays arrays = testing::arrays_of(model);
  for (size_t m = 0; m < bias.size(); ++m) arrays.offset[m] += bias[m];
  const Model biased(arrays);
  const std::vector<Kernel> all = kernels(model, {.bias = bias});
  for (const Kernel& kernel : all) {
    EXPECT_EQ(kernel.model().tables().offset(), arrays.offset);
    Checker(biased, 7).check(kernel, kMaxRows);
  }
  const auto refused = [&](std::vector<float> wrong, const char* text) {
    try {
      compile(model, {.bias = std::move(wrong)});
      FAIL() << "no error that says: " << text;
    } catch (const InvalidArgument& error) {
      EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
    }
  };
  refused({1, 2, 3, 4}, "bias has shape (4,); expected (5,)");
  refused({1, 2, testing::kNaN, 4, 5}, "bias[2] is nan");
  arrays.offset[1] = -3e38f;
  EXPECT_THROW(Model(arrays).with_bias(bias), InvalidArgument) << "the sum is not finite";
}

INSTANTIATE_TEST_SUITE_P(Shapes, Epilogues,
                         ::testing::Values(testing::Shape{kFeatures, 1, 1, 4}, testing::Shape{kFeatures, 2, 16, 1},
                                           testing::Shape{kFeatures, 15, 5, 4}, testing::Shape{kFeatures, 16, 3, 3},
                                           testing::Shape{kFeatures, 17, 64, 2}, testing::Shape{kFeatures, 100, 16, 4},
                                           testing::Shape{kFeatures, 300, 4, 4}, testing::Shape{kFeatures, 192, 6, 3},
                                           testing::Shape{kFeatures, 128, 2, 5}, testing::Shape{kFeatures, 33, 256, 4},
                                           testing::Shape{kFeatures, 65, 5, 5}, testing::Shape{kFeatures, 10, 8, 6},
                                           testing::Shape{kFeatures, 31, 2, 7}, testing::Shape{kFeatures, 7, 3, 8}),
                         [](const auto& parameter) {
                           const testing::Shape& shape = parameter.param;
                           return "L" + std::to_string(shape.depth) + "C" + std::to_string(shape.n_codebooks) + "M" +
                                  std::to_string(shape.n_outputs);
                         });

// A chunk of rows and more, on several threads, over memory that is read.
TEST(Epilogue, LongCallsOnThreadsMayOverlap) {
  constexpr int64_t kRows = 5000;
  const Model model = testing::random_model(6, {8, 40, 3, 4});
  std::mt19937_64 rng(6);
  std::vector<float> input = testing::random_input(rng, kRows * 40);
  const auto x = [&] { return row_major<const float>(input.data(), kRows, 8); };
  std::vector<float> scores(kRows * 40);
  reference(model, x(), row_major(scores.data(), kRows, 40));
  const std::vector<float> before = input;
  for (const Kernel& kernel : kernels(model, {.threads = 3})) {
    input = before;
    std::vector<int32_t> sums(kRows * 40);
    kernel.sums(x(), row_major(sums.data(), kRows, 40));
    auto* overlapping = reinterpret_cast<int32_t*>(input.data());
    kernel.sums(x(), row_major(overlapping, kRows, 40));
    EXPECT_EQ(std::memcmp(overlapping, sums.data(), 4 * sums.size()), 0);
    for (size_t i = 0; i < sums.size(); ++i) {
      const float scaled = static_cast<float>(sums[i]) * model.tables().scale()[i % 40];
      ASSERT_EQ(scaled + model.tables().offset()[i % 40], scores[i]) << i;
    }
    input = before;
    std::vector<int64_t> indices(2 * kRows, -1);
    kernel.argmax(x(), {indices.data(), kRows, 1, 2, 1});
    for (int64_t row = 0; row < kRows; ++row) {
      const float* first = &scores[row * 40];
      ASSERT_EQ(indices[2 * row], std::max_element(first, first + 40) - first);
      ASSERT_EQ(indices[2 * row + 1], -1);
    }
  }
}

}  // namespace
}  // namespace mithral
