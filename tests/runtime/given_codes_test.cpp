// Calls that are given codes, against the tables' definition: any K, any strides, every backend; codes that no table
// has; models of trees, whose kernels leave out what has no effect, by codes of the whole model.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "codegen/model/error.h"
#include "codegen/model/reference.h"
#include "codegen/simplify_model.h"
#include "runtime/kernel.h"
#include "tests/support/executors.h"
#include "tests/support/expected_results.h"
#include "tests/support/random.h"
#include "tests/support/strided.h"

namespace mithral {
namespace {

using testing::Entries;
using testing::Executors;
using testing::expect_results;
using testing::Expected;
using testing::Flush;
using testing::Lying;
using testing::pick;
using testing::StridedMatrix;

constexpr int64_t kEntryCounts[] = {2, 3, 7, 10, 15, 16, 17, 20, 33, 64, 65, 100, 128, 129, 200, 255, 256};
constexpr int64_t kCodebookCounts[] = {1, 3, 4, 5, 16, 17, 33};
constexpr int64_t kOutputCounts[] = {1, 5, 16, 47, 48, 100, 129, 200};
constexpr int64_t kRowCounts[] = {0, 1, 7, 31, 64, 65, 203};
constexpr Entries kEntries[] = {Entries::kAny, Entries::kSmall, Entries::kMixed};

// Every 4th is the largest code.
std::vector<uint8_t> random_codes(std::mt19937_64& rng, int64_t count, int64_t n_entries) {
  std::vector<uint8_t> codes(count);
  for (uint8_t& code : codes) code = static_cast<uint8_t>(rng() % 4 == 0 ? n_entries - 1 : rng() % n_entries);
  return codes;
}

Model model_of(const Tables& tables) { return {GivenCodes{tables.n_codebooks(), tables.n_entries()}, tables}; }

class GivenCodesOf : public ::testing::TestWithParam<int64_t> {};  // K
INSTANTIATE_TEST_SUITE_P(Entries, GivenCodesOf, ::testing::ValuesIn(kEntryCounts));

TEST_P(GivenCodesOf, EverythingFollowsTheTables) {
  constexpr int kModels = 9, kCalls = 2;
  const int64_t n_entries = GetParam();
  std::mt19937_64 rng(n_entries);
  for (int i = 0; i < kModels; ++i) {
    const Tables tables =
        testing::random_tables(rng, pick(rng, kCodebookCounts), n_entries, pick(rng, kOutputCounts), kEntries[i % 3]);
    const Activation activation = rng() % 2 == 0 ? Activation::kRelu : Activation::kNone;
    const Executors executors(model_of(tables), activation);
    for (int call = 0; call < kCalls; ++call) {
      const int64_t n = pick(rng, kRowCounts);
      const std::vector<uint8_t> codes = random_codes(rng, n * tables.n_codebooks(), n_entries);
      const auto given = row_major(codes.data(), n, tables.n_codebooks());
      const Expected expected(tables, given, activation);
      for (const auto& [name, executor] : executors.all()) {
        const Lying lying = pick(rng, testing::kLyings);
        const StridedMatrix<uint8_t> lain(given, lying, rng() % 2 == 0 ? Flush::kEnd : Flush::kStart);
        SCOPED_TRACE(message(name, ": C ", tables.n_codebooks(), ", M ", tables.n_outputs(), ", ", n,
                             " rows, codes lying ", static_cast<int>(lying)));
        expect_results(*executor, Rows::codes(lain.const_view()), expected, rng);
        if (HasFailure()) return;
      }
    }
  }
}

// ---- kernels

// Calls all that take codes; each has to throw. Nothing may be written.
void expect_refused(const Kernel& kernel, MatrixView<const uint8_t> codes, const std::string& complaint) {
  const int64_t n = codes.rows, n_outputs = kernel.model().n_outputs();
  const auto refuse = [&](auto&& call) {
    try {
      call();
      ADD_FAILURE() << "accepted; expected " << complaint;
    } catch (const InvalidArgument& error) {
      EXPECT_EQ(error.what(), complaint);
    }
  };
  StridedMatrix<float> y(n, n_outputs, Lying::kRows, Flush::kEnd), untouched(n, n_outputs, Lying::kRows, Flush::kEnd);
  StridedMatrix<int64_t> best(n, 1, Lying::kRows, Flush::kEnd), no_best(n, 1, Lying::kRows, Flush::kEnd);
  const MatrixView<float> values = y.view();
  refuse([&] { kernel.scan(codes, values); });
  refuse([&] { kernel.scan_sums(codes, {reinterpret_cast<int32_t*>(values.data), n, n_outputs, n_outputs, 1}); });
  refuse([&] { kernel.scan_argmax(codes, best.view()); });
  refuse([&] { kernel.scan_top_k(codes, {values.data, n, 1, n_outputs, 1}, best.view()); });
  if (kernel.model().has_given_codes()) {
    refuse([&] { kernel(codes, values); });
    refuse([&] { kernel.sums(codes, {reinterpret_cast<int32_t*>(values.data), n, n_outputs, n_outputs, 1}); });
    refuse([&] { kernel.argmax(codes, best.view()); });
    refuse([&] { kernel.top_k(codes, {values.data, n, 1, n_outputs, 1}, best.view()); });
  }
  EXPECT_TRUE(y == untouched);
  EXPECT_TRUE(best == no_best);
}

TEST_P(GivenCodesOf, ACodeThatNoTableHasIsNamedAndNothingWritten) {
  const int64_t n_entries = GetParam();
  if (n_entries == 256) GTEST_SKIP() << "every byte is a code";
  std::mt19937_64 rng(n_entries);
  for (const int64_t n_codebooks : kCodebookCounts) {
    const Kernel kernel =
        compile(model_of(testing::random_tables(rng, n_codebooks, n_entries, 3)), {.backend = Backend::kGeneric});
    for (const Lying lying : testing::kLyings) {
      const int64_t n = 1 + static_cast<int64_t>(rng() % 100);
      std::vector<uint8_t> codes = random_codes(rng, n * n_codebooks, n_entries);
      const uint64_t place = rng() % codes.size(), later = place + rng() % (codes.size() - place);
      codes[later] = 255;
      codes[place] = static_cast<uint8_t>(rng() % 2 == 0 ? n_entries : 255);
      const StridedMatrix<uint8_t> lain(row_major<const uint8_t>(codes.data(), n, n_codebooks), lying, Flush::kEnd);
      expect_refused(kernel, lain.const_view(),
                     message("codes[", place / n_codebooks, ", ", place % n_codebooks, "] is ", int{codes[place]},
                             "; codebook ", place % n_codebooks, " allows: 0 to ", n_entries - 1));
    }
  }
}

std::vector<Kernel> kernels_of(const Model& model, int64_t threads = 1) {
  std::vector<Kernel> kernels;
  for (const Isa isa : host().runnable) kernels.push_back(compile(model, {.isa = isa, .threads = threads}));
  kernels.push_back(compile(model, {.backend = Backend::kGeneric, .threads = threads}));
  kernels.push_back(compile(model, {.backend = Backend::kInterpreter, .threads = threads}));
  return kernels;
}

std::string name_of(const Kernel& kernel) {
  return message(backend_name(kernel.backend()), " ", isa_name(kernel.isa()));
}

template <typename T>
bool same_bytes(const std::vector<T>& got, MatrixView<const T> want) {
  return static_cast<int64_t>(got.size()) == want.rows * want.cols &&
         std::memcmp(got.data(), want.data, got.size() * sizeof(T)) == 0;
}

// What a kernel's calls with codes give, row-major.
void expect_scans(const Kernel& kernel, MatrixView<const uint8_t> codes) {
  SCOPED_TRACE(name_of(kernel));
  const Expected expected(kernel.model().tables(), codes, kernel.activation());
  const int64_t n = codes.rows, n_outputs = kernel.model().n_outputs(), k = std::min<int64_t>(3, n_outputs);
  std::vector<float> y(n * n_outputs), values(n * k);
  std::vector<int32_t> sums(n * n_outputs);
  std::vector<int64_t> best(n), indices(n * k);
  kernel.scan(codes, row_major(y.data(), n, n_outputs));
  kernel.scan_sums(codes, row_major(sums.data(), n, n_outputs));
  kernel.scan_argmax(codes, row_major(best.data(), n, 1));
  kernel.scan_top_k(codes, row_major(values.data(), n, k), row_major(indices.data(), n, k));
  EXPECT_TRUE(same_bytes(y, expected.outputs()));
  EXPECT_TRUE(same_bytes(sums, expected.sums()));
  EXPECT_EQ(best, expected.largest(1));
  EXPECT_EQ(indices, expected.largest(k));
  const std::vector<float> wanted = expected.values(indices);
  EXPECT_TRUE(same_bytes(values, row_major(wanted.data(), n, k)));
}

TEST(GivenCodes, ManyRowsAreSharedAmongThreads) {
  constexpr int64_t kRows = 30001;
  std::mt19937_64 rng(1);
  const Tables tables = testing::random_tables(rng, 17, 20, 10);
  const std::vector<uint8_t> codes = random_codes(rng, kRows * 17, 20);
  const auto given = row_major(codes.data(), kRows, 17);
  const StridedMatrix<uint8_t> columns(given, Lying::kColumns, Flush::kEnd);
  for (const Backend backend : {Backend::kJit, Backend::kGeneric}) {
    if (backend == Backend::kJit && !best_isa()) continue;
    const Kernel kernel =
        compile(model_of(tables), {.backend = backend, .threads = 3, .activation = Activation::kRelu});
    expect_scans(kernel, given);
    expect_scans(kernel, columns.const_view());
  }
}

// Row r of y begins where row r of the codes does.
TEST(GivenCodes, OutputsMayOverlapThem) {
  constexpr int64_t kRows = 100;
  std::mt19937_64 rng(2);
  const Tables tables = testing::random_tables(rng, 20, 7, 5);
  const std::vector<uint8_t> codes = random_codes(rng, kRows * 20, 7);
  const Expected expected(tables, row_major(codes.data(), kRows, 20), Activation::kNone);
  for (const Kernel& kernel : kernels_of(model_of(tables))) {
    std::vector<float> memory(kRows * 5);
    std::memcpy(memory.data(), codes.data(), codes.size());
    const auto* const given = reinterpret_cast<const uint8_t*>(memory.data());
    kernel(row_major(given, kRows, 20), row_major(memory.data(), kRows, 5));
    EXPECT_TRUE(same_bytes(memory, expected.outputs())) << name_of(kernel);
  }
}

TEST(GivenCodes, OnlyBytesAreCodes) {
  std::mt19937_64 rng(3);
  const Kernel kernel = compile(model_of(testing::random_tables(rng, 4, 7, 5)), {.backend = Backend::kGeneric});
  const std::vector<float> floats(8);
  const std::vector<int8_t> signed_bytes(8);
  std::vector<float> y(10);
  EXPECT_THROW(kernel(row_major(floats.data(), 2, 4), row_major(y.data(), 2, 5)), InvalidArgument);
  EXPECT_THROW(kernel(row_major(signed_bytes.data(), 2, 4), row_major(y.data(), 2, 5)), InvalidArgument);
  std::vector<uint8_t> codes(8);
  EXPECT_THROW(kernel.encode(row_major(floats.data(), 2, 4), row_major(codes.data(), 2, 4)), InvalidArgument);
}

// ---- trees

// Trees and tables of which some parts have no effect: splits between equal leaves, codebooks of zeros, leaves that no
// row gets to.
Model reducible_model(uint64_t seed, int64_t depth) {
  std::mt19937_64 rng(seed);
  testing::ModelArrays arrays =
      testing::random_arrays(rng, {9, pick(rng, kOutputCounts), 2 + static_cast<int64_t>(rng() % 18), depth});
  testing::structure_trees(rng, arrays);
  testing::repeat_leaves(rng, arrays);
  const int64_t table = (int64_t{1} << depth) * arrays.n_outputs;
  for (int64_t c = 0; c < arrays.n_codebooks; c += 4) std::fill_n(&arrays.lut[c * table], table, uint8_t{0});
  return Model(std::move(arrays));
}

TEST(ScanOfTrees, GivesWhatRowsOfTheseCodesDo) {
  constexpr int64_t kRows = 203;
  int n_simplified = 0;
  for (int64_t depth = 1; depth <= 8; ++depth) {
    for (uint64_t seed = 0; seed < 3; ++seed) {
      SCOPED_TRACE(message("depth ", depth, ", seed ", seed));
      const Model model = reducible_model(seed, depth);
      n_simplified += &codegen::simplify_model(model).tables().lut() != &model.tables().lut();
      std::mt19937_64 rng(seed);
      const std::vector<float> input = testing::random_input(rng, kRows * model.n_features());
      const auto x = row_major(input.data(), kRows, model.n_features());
      const int64_t n_codebooks = model.n_codebooks();
      const std::vector<uint8_t> any = random_codes(rng, kRows * n_codebooks, model.n_entries());
      std::vector<float> expected(kRows * model.n_outputs());
      reference(model, x, row_major(expected.data(), kRows, model.n_outputs()));
      for (const Kernel& kernel : kernels_of(model)) {
        std::vector<uint8_t> codes(kRows * n_codebooks);
        std::vector<float> y(expected.size()), scanned(expected.size());
        kernel(x, row_major(y.data(), kRows, model.n_outputs()));
        kernel.encode(x, row_major(codes.data(), kRows, n_codebooks));
        const auto given = row_major<const uint8_t>(codes.data(), kRows, n_codebooks);
        kernel.scan(given, row_major(scanned.data(), kRows, model.n_outputs()));
        EXPECT_TRUE(same_bytes(y, row_major<const float>(expected.data(), kRows, model.n_outputs())));
        EXPECT_TRUE(same_bytes(scanned, row_major<const float>(expected.data(), kRows, model.n_outputs())));
        expect_scans(kernel, given);
        expect_scans(kernel, row_major(any.data(), kRows, n_codebooks));
      }
      if (HasFailure()) return;
    }
  }
  EXPECT_EQ(n_simplified, 24);
}

TEST(ScanOfTrees, RefusesCodesThatNoLeafHas) {
  const Model model = reducible_model(5, 3);
  std::vector<uint8_t> codes(7 * model.n_codebooks());
  codes[3 * model.n_codebooks() + 1] = 8;
  expect_refused(compile(model, {.backend = Backend::kGeneric}), row_major(codes.data(), 7, model.n_codebooks()),
                 "codes[3, 1] is 8; codebook 1 allows: 0 to 7");
}

}  // namespace
}  // namespace mithral
