// Input of every type gives the bytes of the same values in float32: whole calls of emitted code between guard pages,
// and codes by everything that executes a model, from input of any strides.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "codegen/model/reference.h"
#include "tests/support/call_checker.h"
#include "tests/support/executors.h"
#include "tests/support/typed_data.h"

namespace mithral {
namespace {

constexpr testing::Shape kShapes[] = {{1, 1, 1, 1},   {3, 2, 5, 1},     {16, 10, 16, 4}, {70, 17, 3, 2}, {40, 5, 33, 3},
                                      {512, 3, 7, 4}, {64, 100, 16, 4}, {30, 9, 6, 5},   {50, 3, 9, 6},  {20, 5, 5, 7},
                                      {60, 2, 11, 8}, {9, 33, 64, 4},   {25, 4, 18, 5}};

template <typename T>
class InputTypes : public ::testing::Test {};
using Types = ::testing::Types<float, int8_t, uint8_t, int16_t, Float16, Bfloat16>;
struct TypeNames {
  template <typename T>
  static std::string GetName(int) {
    return input_type_name(InputTypeOf<T>::value);
  }
};
TYPED_TEST_SUITE(InputTypes, Types, TypeNames);

TYPED_TEST(InputTypes, CallsReturnTheReferencesBytes) {
  constexpr int64_t kRowCounts[] = {0, 1, 8, 33, 64, 127, 256, 300, 1000};
  uint64_t seed = 500;
  for (const testing::Shape& shape : kShapes) {
    for (int round = 0; round < 3; ++round) {
      const Model model = testing::typed_model<TypeParam>(++seed, shape);
      const testing::CallChecker<TypeParam> checker(model, seed, 1000);
      std::vector<Kernel> kernels;
      for (const Isa isa : host().runnable) kernels.push_back(compile(model, {.isa = isa, .backend = Backend::kJit}));
      kernels.push_back(compile(model, {.backend = Backend::kGeneric}));
      for (const int64_t n : kRowCounts) {
        checker.check(kernels, n);
        if (this->HasFailure()) return;
      }
    }
  }
}

// Orders and strides of input: element (i, j) is at first + i * row + j * col.
struct Strides {
  const char* name;
  int64_t first, row, col;
};

TYPED_TEST(InputTypes, EveryExecutorEncodesAnyStrides) {
  constexpr int64_t kRows = 203;
  uint64_t seed = 700;
  for (const testing::Shape& shape : kShapes) {
    const int64_t d = shape.n_features;
    const Model model = testing::typed_model<TypeParam>(++seed, shape);
    const testing::Executors executors(model);
    std::mt19937_64 rng(seed);
    const std::vector<TypeParam> memory = testing::typed_input<TypeParam>(rng, 4 * kRows * d);
    for (const Strides& s : {Strides{"rows", 0, d, 1},
                             {"columns", 0, 1, kRows},
                             {"every second row", 0, 2 * d, 1},
                             {"every second column", 0, 2 * d, 2},
                             {"backwards", 2 * kRows * d, -d, 1},
                             {"columns with gaps", 1, 1, kRows + 3},
                             {"one row", 0, 0, 1}}) {
      const MatrixView<const TypeParam> x{memory.data() + s.first, kRows, d, s.row, s.col};
      std::vector<float> floats;
      for (int64_t i = 0; i < kRows; ++i) {
        for (int64_t j = 0; j < d; ++j) floats.push_back(to_float(x(i, j)));
      }
      std::vector<uint8_t> expected(kRows * shape.n_codebooks), got(expected.size());
      reference_codes(model.encoder(), row_major<const float>(floats.data(), kRows, d),
                      row_major(expected.data(), kRows, shape.n_codebooks));
      for (const auto& entry : executors.all()) {
        std::fill(got.begin(), got.end(), 0xaa);
        entry.executor->encode(x, row_major(got.data(), kRows, shape.n_codebooks));
        ASSERT_EQ(got, expected) << entry.name << ", " << s.name << ", seed " << seed;
      }
    }
  }
}

// NaN included: all 65536 of them, against arithmetic instead of bits.
TEST(Float16, MeansWhatIeee754Says) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const int exponent = bits >> 10 & 31, mantissa = bits & 0x3ff;
    const double magnitude = exponent == 31  ? (mantissa == 0 ? INFINITY : NAN)
                             : exponent == 0 ? std::ldexp(mantissa, -24)
                                             : std::ldexp(1024 + mantissa, exponent - 25);
    const float want = static_cast<float>(bits >> 15 != 0 ? -magnitude : magnitude);
    const float got = to_float(Float16{static_cast<uint16_t>(bits)});
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(got)) << bits;
    } else {
      ASSERT_EQ(std::memcmp(&want, &got, sizeof want), 0) << bits;
    }
  }
}

// Every value of 16 bits, through every executor: one column, thresholds on and beside values of any size.
TYPED_TEST(InputTypes, EveryValueOfSmallTypesIsEncoded) {
  if constexpr (sizeof(TypeParam) <= 2) {
    const int64_t n = int64_t{1} << 8 * sizeof(TypeParam);
    std::vector<TypeParam> input(n);
    std::vector<float> floats(n);
    for (int64_t i = 0; i < n; ++i) {
      std::memcpy(&input[i], &i, sizeof(TypeParam));
      floats[i] = to_float(input[i]);
    }
    const Model model = testing::typed_model<TypeParam>(901, {1, 1, 12, 4});
    std::vector<uint8_t> expected(n * 12), got(n * 12);
    reference_codes(model.encoder(), row_major<const float>(floats.data(), n, 1), row_major(expected.data(), n, 12));
    const testing::Executors executors(model);
    for (const auto& entry : executors.all()) {
      entry.executor->encode(col_major<const TypeParam>(input.data(), n, 1), row_major(got.data(), n, 12));
      ASSERT_EQ(got, expected) << entry.name;
    }
  }
}

}  // namespace
}  // namespace mithral
