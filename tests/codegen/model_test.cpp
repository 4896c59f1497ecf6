// The contract's own rules: what a Model accepts, and the reference on a case small enough to compute by hand.
#include <gtest/gtest.h>

#include "codegen/model/error.h"
#include "codegen/model/model.h"
#include "codegen/model/reference.h"
#include "codegen/program/target.h"
#include "tests/support/random.h"

namespace mithral {
namespace {

using testing::kInfinity;
using testing::kNaN;

// Two features, one codebook of depth 2, two outputs.
testing::ModelArrays small_arrays() {
  return {.n_features = 2,
          .n_outputs = 2,
          .n_codebooks = 1,
          .depth = 2,
          .split_dims = {1, 0},
          .thresholds = {0.5f, -1.0f, 2.0f},
          .lut = {0, 1, 10, 11, 20, 21, 30, 31},
          .scale = {0.5f, 2.0f},
          .offset = {1.0f, -1.0f}};
}

template <typename Change>
std::string rejection(Change change) {
  testing::ModelArrays arrays = small_arrays();
  change(arrays);
  try {
    Model model(std::move(arrays));
  } catch (const BadModel& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Model, KeepsItsArrays) {
  const Model model = Model(small_arrays()).with_report({{"nmse", 0.25}});
  EXPECT_EQ(model.n_entries(), 4);
  EXPECT_EQ(model.trees().split_dim(0, 1), 0);
  EXPECT_EQ(model.trees().threshold(0, 1, 1), 2.0f);
  EXPECT_EQ(model.tables().entry(0, 3, 1), 31);
  EXPECT_EQ(model.report().at("nmse"), 0.25);
}

TEST(Model, RejectsSizesOutOfRange) {
  EXPECT_EQ(rejection([](auto& a) { a.n_codebooks = -1; }), "n_codebooks (C) is -1; allowed: 0 to 256");
  EXPECT_EQ(rejection([](auto& a) { a.n_codebooks = 257; }), "n_codebooks (C) is 257; allowed: 0 to 256");
  EXPECT_EQ(rejection([](auto& a) { a.scale.clear(); }), "n_outputs (M) is 0; allowed: 1 to 16777216");
  EXPECT_EQ(rejection([](auto& a) { a.n_features = 0; }), "n_features (D) is 0; allowed: 1 to 268435456");
  EXPECT_EQ(rejection([](auto& a) { a.n_features = -1; }), "n_features (D) is -1; allowed: 1 to 268435456");
  EXPECT_EQ(rejection([](auto& a) { a.depth = 9; }), "depth (L) is 9; allowed: 1 to 8");
}

TEST(Model, RejectsArraysOfTheWrongLength) {
  EXPECT_EQ(rejection([](auto& a) { a.lut.pop_back(); }), "lut has 7 entries; expected 8 for shape (C, K, M)");
  EXPECT_EQ(rejection([](auto& a) { a.offset.push_back(0); }), "offset has 3 entries; expected 2 for shape (M,)");
  EXPECT_EQ(rejection([](auto& a) { a.thresholds.push_back(0); }),
            "thresholds has 4 entries; expected 3 for shape (C, 2**L - 1)");
  EXPECT_EQ(rejection([](auto& a) { a.split_dims.pop_back(); }),
            "split_dims has 1 entries; expected 2 for shape (C, L)");
}

std::string rejection_of(TableArrays arrays) {
  try {
    const Tables tables(std::move(arrays));
  } catch (const BadModel& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Tables, RejectSizesOutOfRange) {
  const std::vector<float> ones = {1};
  const auto tables = [&](int64_t n_codebooks, int64_t n_entries) {
    return rejection_of({.n_codebooks = n_codebooks,
                         .n_entries = n_entries,
                         .lut = std::vector<uint8_t>(n_codebooks * n_entries),
                         .scale = ones,
                         .offset = ones});
  };
  EXPECT_EQ(tables(1, 1), "the number of entries of a table (K) is 1; allowed: 2 to 256");
  EXPECT_EQ(tables(1, 257), "the number of entries of a table (K) is 257; allowed: 2 to 256");
  EXPECT_EQ(tables(257, 2), "n_codebooks (C) is 257; allowed: 0 to 256");
  for (const int64_t n_entries : {2, 3, 10, 100, 255, 256}) EXPECT_EQ(tables(3, n_entries), "accepted");
  const std::vector<float> many(int64_t{1} << 23);
  EXPECT_EQ(rejection_of({.n_codebooks = 256, .n_entries = 17, .lut = {}, .scale = many, .offset = many}),
            "the tables of 256 codebooks of 17 entries and 8388608 outputs take 36507222016 bytes; allowed: up to "
            "17179869184");
  EXPECT_EQ(Tables::laid_out_bytes(3, 16, 5), Tables::laid_out_bytes(3, 2, 5)) << "at least 16 entries";
  EXPECT_EQ(Tables::laid_out_bytes(3, 32, 5), 2 * Tables::laid_out_bytes(3, 16, 5));
}

TEST(Model, PartsMustFit) {
  const Model model = small_arrays();
  EXPECT_THROW(Model(GivenCodes{1, 5}, model.tables()), BadModel);
  EXPECT_THROW(Model(GivenCodes{2, 4}, model.tables()), BadModel);
  const Model given(GivenCodes{1, 4}, model.tables());
  EXPECT_EQ(given.n_features(), 1) << "a row is its codes";
  EXPECT_TRUE(given.has_given_codes());
  EXPECT_FALSE(given.has_trees());
  EXPECT_FALSE(model.has_given_codes());
  EXPECT_TRUE(model.has_trees());
  EXPECT_THROW(given.trees(), InvalidArgument);
  EXPECT_EQ(&given.tables().lut(), &model.tables().lut()) << "copies share";
  EXPECT_EQ(&model.with_bias(std::vector<float>{1, 2}).tables().lut(), &model.tables().lut());
}

TEST(Model, RejectsValuesThatBreakTheContract) {
  EXPECT_EQ(rejection([](auto& a) { a.split_dims[1] = 2; }), "split_dims[0, 1] is 2; allowed: 0 to 1 (n_features - 1)");
  EXPECT_EQ(rejection([](auto& a) { a.split_dims[0] = -1; }),
            "split_dims[0, 0] is -1; allowed: 0 to 1 (n_features - 1)");
  EXPECT_EQ(rejection([](auto& a) { a.thresholds[2] = kNaN; }),
            "thresholds[0, 2] is NaN; allowed: any number, or +inf where a node never splits");
  EXPECT_EQ(rejection([](auto& a) { a.scale[1] = kInfinity; }), "scale[1] is inf; allowed: finite values");
  EXPECT_EQ(rejection([](auto& a) { a.offset[0] = kNaN; }), "offset[0] is nan; allowed: finite values");
  EXPECT_EQ(rejection([](auto& a) { a.thresholds = {kInfinity, -kInfinity, kInfinity}; }), "accepted");
}

TEST(Reference, ComputesTheContract) {
  const Model model(small_arrays());
  // Split on column 1 at 0.5, then on column 0 at -1 (left) or 2 (right).
  const std::vector<float> x = {-1,   0.5,         // ties are not greater: leaf 0
                                0,    -kInfinity,  // leaf 1
                                2,    kInfinity,   // leaf 2
                                3,    1,           // leaf 3
                                kNaN, kNaN};       // NaN goes left: leaf 0
  std::vector<uint8_t> codes(5);
  reference_codes(model.encoder(), row_major(x.data(), 5, 2), row_major(codes.data(), 5, 1));
  EXPECT_EQ(codes, (std::vector<uint8_t>{0, 1, 2, 3, 0}));
  std::vector<float> y(10);
  reference(model, row_major(x.data(), 5, 2), row_major(y.data(), 5, 2));
  EXPECT_EQ(y, (std::vector<float>{1, 1, 6, 21, 11, 41, 16, 61, 1, 1}));
}

TEST(Reference, RejectsWrongShapes) {
  const Model model(small_arrays());
  std::vector<float> x(6), y(6);
  EXPECT_THROW(reference(model, row_major(x.data(), 2, 3), row_major(y.data(), 2, 2)), InvalidArgument);
  EXPECT_THROW(reference(model, row_major(x.data(), 3, 2), row_major(y.data(), 2, 2)), InvalidArgument);
  EXPECT_THROW(reference(model, row_major(x.data(), 2, 2), row_major(y.data(), 2, 3)), InvalidArgument);
}

TEST(Target, NamesRoundTrip) {
  for (const Isa isa : all_isas()) EXPECT_EQ(isa_from_name(isa_name(isa)), isa);
  try {
    isa_from_name("avx1024");
    FAIL() << "accepted";
  } catch (const InvalidArgument& error) {
    EXPECT_NE(std::string(error.what()).find("'avx1024'; allowed: "), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("avx2"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace mithral
