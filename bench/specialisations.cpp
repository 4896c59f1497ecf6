#include "bench/specialisations.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "bench/problem.h"
#include "codegen/encode/trees/select_thresholds.h"
#include "codegen/encode/trees/trees_lowering.h"
#include "codegen/lower.h"
#include "codegen/model/reference.h"
#include "codegen/simplify_model.h"
#include "runtime/executable.h"
#include "runtime/host.h"
#include "tests/support/model_arrays.h"

namespace mithral::bench {
namespace {

using codegen::TreeLevel;
using codegen::TreeStructure;

constexpr int64_t kD = 512, kC = 16;

// What is compiled: a model, and the choices that kernels take from what is known of it and of the CPU.
struct Variant {
  Model model;
  Target target;
  codegen::Schedule schedule = codegen::choose_schedule(model, target);
  TreeStructure trees = codegen::analyse_trees(model.trees());
  Target encode_target = target;
  Backend backend = Backend::kJit;
};

// Trees of another structure than the model's own, for another target than the kernel's.
class VariantTrees : public codegen::TreesLowering {
 public:
  VariantTrees(const TreeStructure& trees, const Target& target) : TreesLowering(trees), target_(target) {}
  codegen::Program lower(const codegen::CodeLayout& layout, const Target&, InputType type) const override {
    return TreesLowering::lower(layout, target_, type);
  }

 private:
  Target target_;
};

codegen::LoweredModel lower(const Variant& v) {
  codegen::LoweredModel result = codegen::lower(v.model, v.schedule, v.target);
  result.encoder = std::make_shared<const VariantTrees>(v.trees, v.encode_target);
  return result;
}

// --- models

Model usual_model(int64_t n_outputs) { return make_model({1, kD, n_outputs}, kC); }

// Splits on 16 columns, in a cache line each: four codebooks read every one of them.
Model model_of_few_columns(int64_t n_outputs) {
  testing::ModelArrays arrays = testing::arrays_of(usual_model(n_outputs));
  for (size_t i = 0; i < arrays.split_dims.size(); ++i) arrays.split_dims[i] = static_cast<int32_t>(i % 16 * 32);
  return Model(std::move(arrays));
}

// Every split has a column of its own, in the same lines.
Model model_of_many_columns(int64_t n_outputs) {
  testing::ModelArrays arrays = testing::arrays_of(model_of_few_columns(n_outputs));
  for (size_t i = 0; i < arrays.split_dims.size(); ++i) arrays.split_dims[i] += static_cast<int32_t>(i / 16 * 5);
  return Model(std::move(arrays));
}

// Half of the codebooks: the second level never splits, the third has one threshold.
Model model_of_dead_levels(int64_t n_outputs) {
  testing::ModelArrays arrays = testing::arrays_of(usual_model(n_outputs));
  const auto tree_nodes = static_cast<int64_t>(arrays.thresholds.size()) / kC;
  for (int64_t c = 0; c < kC; c += 2) {
    float* tree = &arrays.thresholds[c * tree_nodes];
    std::fill(tree + 1, tree + 3, std::numeric_limits<float>::infinity());
    std::fill(tree + 3, tree + 7, tree[3]);
  }
  return Model(std::move(arrays));
}

// Every fourth codebook is not used.
Model model_of_unused_codebooks(int64_t n_outputs) {
  testing::ModelArrays arrays = testing::arrays_of(usual_model(n_outputs));
  const auto table = static_cast<int64_t>(arrays.lut.size()) / kC;
  for (int64_t c = 0; c < kC; c += 4) std::fill_n(arrays.lut.begin() + c * table, table, uint8_t{0});
  return Model(std::move(arrays));
}

// --- variants

template <Model (*make)(int64_t)>
Variant chosen(int64_t n_outputs, Isa isa) {
  return {make(n_outputs), host_target(isa)};
}

Variant simplified(int64_t n_outputs, Isa isa) {
  return {codegen::simplify_model(model_of_unused_codebooks(n_outputs)), host_target(isa)};
}

// Row-major rows are staged as a whole.
Variant staging_all_columns(int64_t n_outputs, Isa isa) {
  Variant variant = chosen<usual_model>(n_outputs, isa);
  for (auto& tree : variant.trees.trees) {
    for (TreeLevel& level : tree) level.column = variant.trees.columns[level.column];
  }
  variant.trees.columns.resize(kD);
  std::iota(variant.trees.columns.begin(), variant.trees.columns.end(), 0);
  variant.schedule.stage.rows = variant.schedule.codes.block_rows();  // what more columns leave room for in L1
  return variant;
}

// As few registers as leave none for thresholds (encode/trees/lower_trees.cpp): they are read where they are compared.
Variant thresholds_in_memory(int64_t n_outputs, Isa isa) {
  Variant variant = chosen<usual_model>(n_outputs, isa);
  const Target& target = variant.target;
  const int shared = target.has(Feature::kMasks) ? 3 : 1;
  const int descents = variant.schedule.codes.packing == codegen::CodeLayout::Packing::kFourRows ? 4 : 2;
  variant.encode_target.n_vector_regs =
      shared + descents + codegen::ThresholdSelection::n_registers(size_t{1} << (kDepth - 1), target);
  return variant;
}

// No level is looked at: each is a column to read and a threshold to look up by node.
Variant dead_levels_kept(int64_t n_outputs, Isa isa) {
  Variant variant = chosen<model_of_dead_levels>(n_outputs, isa);
  const Model& model = variant.model;
  std::vector<int32_t>& columns = variant.trees.columns;
  columns = model.trees().split_dims();
  std::sort(columns.begin(), columns.end());
  columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
  for (int64_t c = 0; c < kC; ++c) {
    for (int64_t level = 0; level < kDepth; ++level) {
      const auto place = std::lower_bound(columns.begin(), columns.end(), model.trees().split_dim(c, level));
      const int64_t nodes = int64_t{1} << level;
      TreeLevel plain{level == 0 ? TreeLevel::Kind::kUniform : TreeLevel::Kind::kTable,
                      static_cast<int>(place - columns.begin()),
                      {},
                      std::vector<bool>(nodes, true)};
      for (int64_t node = 0; node < nodes; ++node) plain.thresholds.push_back(model.trees().threshold(c, level, node));
      variant.trees.trees[c][level] = plain;
    }
  }
  return variant;
}

Variant no_byte_sums(int64_t n_outputs, Isa isa) {
  Variant variant = chosen<usual_model>(n_outputs, isa);
  variant.schedule.groups.clear();
  for (int c = 0; c < kC; ++c) variant.schedule.groups.push_back({c});
  return variant;
}

Variant ordinary_stores(int64_t n_outputs, Isa isa) {
  Variant variant = chosen<usual_model>(n_outputs, isa);
  variant.schedule.call.stream_bytes = std::numeric_limits<int64_t>::max();
  return variant;
}

Variant not_specialised(int64_t n_outputs, Isa isa) {
  Variant variant = chosen<usual_model>(n_outputs, isa);
  variant.backend = Backend::kGeneric;
  return variant;
}

// --- calls

struct Memory {
  explicit Memory(const Shape& of)
      : shape(of),
        x(normal_floats(of.n * of.d, 3)),
        y(of.n * of.m * kFloatBytes),
        other(of.n * of.m * kFloatBytes),
        indices(of.n),
        index(of.n),
        best(of.n) {}

  static constexpr int64_t kFloatBytes = sizeof(float);
  Shape shape;
  Buffer x, y, other;
  std::vector<int64_t> indices;  // of the fused argmax, and of the other one
  std::vector<int32_t> index;
  std::vector<float> best;
};

using Call = void (*)(const Executor&, MatrixView<const float> x, Memory&);

template <Order order>
void write(const Executor& executor, MatrixView<const float> x, Memory& memory) {
  executor.outputs(x, view(memory.y.as<float>(), memory.shape.n, memory.shape.m, order));
}

void fused_argmax(const Executor& executor, MatrixView<const float> x, Memory& memory) {
  executor.argmax(x, col_major(memory.indices.data(), memory.shape.n, 1));
}

// Column by column, some rows at a time: compilers make vectors of it, and what they compare with stays in L1.
void argmax_of_outputs(const Executor& executor, MatrixView<const float> x, Memory& memory) {
  constexpr int64_t kTile = 512;
  write<Order::kColumns>(executor, x, memory);
  const auto [n, d, n_outputs] = memory.shape;
  for (int64_t first = 0; first < n; first += kTile) {
    const int64_t count = std::min(kTile, n - first);
    float* __restrict best = &memory.best[first];
    int32_t* __restrict index = &memory.index[first];
    std::copy_n(memory.y.as<float>() + first, count, best);
    std::fill_n(index, count, 0);
    for (int64_t m = 1; m < n_outputs; ++m) {
      const float* __restrict column = memory.y.as<float>() + m * n + first;
      for (int64_t row = 0; row < count; ++row) {
        const bool larger = column[row] > best[row];
        best[row] = larger ? column[row] : best[row];
        index[row] = larger ? static_cast<int32_t>(m) : index[row];
      }
    }
  }
}

// In tiles that stay in L1.
void transposed_afterwards(const Executor& executor, MatrixView<const float> x, Memory& memory) {
  constexpr int64_t kTile = 16;
  const auto [n, d, n_outputs] = memory.shape;
  const auto columns = col_major(memory.other.as<float>(), n, n_outputs);
  const auto rows = row_major(memory.y.as<float>(), n, n_outputs);
  executor.outputs(x, columns);
  for (int64_t row = 0; row < n; row += kTile) {
    for (int64_t m = 0; m < n_outputs; m += kTile) {
      for (int64_t i = row; i < std::min(row + kTile, n); ++i) {
        for (int64_t j = m; j < std::min(m + kTile, n_outputs); ++j) rows(i, j) = columns(i, j);
      }
    }
  }
}

// --- the table

struct Side {
  Variant (*variant)(int64_t n_outputs, Isa isa);
  Call call;
};

struct Specialisation {
  const char* name;
  Shape shape;
  Order order;  // of x
  Side with, without;
};

// What a call of 1000 rows reads and writes stays in L2: else memory hides what is computed.
constexpr Shape kSmall{1000, kD, 10}, kWide{1000, kD, 100}, kLong{10000, kD, 10}, kLarge{10000, kD, 100},
    kHuge{20480, kD, 512};  // beyond every last-level cache
constexpr Order kRows = Order::kRows, kColumns = Order::kColumns;
constexpr Call kToRows = write<kRows>, kToColumns = write<kColumns>;
constexpr Variant (*kUsual)(int64_t, Isa) = chosen<usual_model>;
constexpr Variant (*kFewColumns)(int64_t, Isa) = chosen<model_of_few_columns>;
constexpr Variant (*kManyColumns)(int64_t, Isa) = chosen<model_of_many_columns>;
constexpr Variant (*kDeadLevels)(int64_t, Isa) = chosen<model_of_dead_levels>;
constexpr Variant (*kUnusedCodebooks)(int64_t, Isa) = chosen<model_of_unused_codebooks>;

constexpr Specialisation kSpecialisations[] = {
    {"used-columns-only", kLong, kRows, {kUsual, kToRows}, {staging_all_columns, kToRows}},
    {"shared-columns", kLong, kRows, {kFewColumns, kToRows}, {kManyColumns, kToRows}},
    {"thresholds-in-registers", kSmall, kColumns, {kUsual, kToColumns}, {thresholds_in_memory, kToColumns}},
    {"dead-levels", kSmall, kColumns, {kDeadLevels, kToColumns}, {dead_levels_kept, kToColumns}},
    {"unused-codebooks", kWide, kColumns, {simplified, kToColumns}, {kUnusedCodebooks, kToColumns}},
    {"byte-sums", kWide, kColumns, {kUsual, kToColumns}, {no_byte_sums, kToColumns}},
    {"argmax", kWide, kColumns, {kUsual, fused_argmax}, {kUsual, argmax_of_outputs}},
    {"row-major-output", kLarge, kRows, {kUsual, kToRows}, {kUsual, transposed_afterwards}},
    {"stores-past-caches", kHuge, kRows, {kUsual, kToRows}, {ordinary_stores, kToRows}},
    {"stores-past-caches", kHuge, kColumns, {kUsual, kToColumns}, {ordinary_stores, kToColumns}},
    {"everything", kWide, kColumns, {kUsual, kToColumns}, {not_specialised, kToColumns}},
};

// Whether a variant computes what its model means: else its time says nothing.
bool is_right(const Executor& executor, const Model& model, const float* input) {
  constexpr int64_t kChecked = 203;
  const auto x = row_major(input, kChecked, kD);
  std::vector<float> expected(kChecked * model.n_outputs()), got(expected.size());
  reference(model, x, row_major(expected.data(), kChecked, model.n_outputs()));
  executor.outputs(x, row_major(got.data(), kChecked, model.n_outputs()));
  return std::memcmp(expected.data(), got.data(), expected.size() * sizeof(float)) == 0;
}

void bench_side(benchmark::State& state, const Specialisation& which, const Side& side, Isa isa) {
  const Variant variant = side.variant(which.shape.m, isa);
  const Executable compiled(variant.model, lower(variant), variant.backend);
  Memory memory(which.shape);
  const float* input = memory.x.as<float>();
  if (!is_right(compiled.executor, variant.model, input)) return state.SkipWithError("wrong outputs");
  const auto x = view(input, which.shape.n, kD, which.order);
  for (auto _ : state) side.call(compiled.executor, x, memory);
}

// Codes of four codebooks are summed without groups, and the generic kernels are built for AVX2.
bool is_comparable(const Specialisation& which, Isa isa) {
  if (which.without.variant == not_specialised) return isa == Isa::kAvx2;
  return which.without.variant != no_byte_sums ||
         kUsual(which.shape.m, isa).schedule.codes.packing == codegen::CodeLayout::Packing::kFourRows;
}

}  // namespace

void register_specialisations() {
  std::vector<Isa> isas = {*best_isa()};
  if (isas[0] != Isa::kAvx2 && host_runs(Isa::kAvx2)) isas.push_back(Isa::kAvx2);
  for (const Specialisation& which : kSpecialisations) {
    for (const Isa isa : isas) {
      if (!is_comparable(which, isa)) continue;
      const std::string name = std::string("specialisation/") + which.name + "/" + name_of(which.shape) + "/C16/" +
                               name_of(which.order) + "/" + isa_name(isa) + "/";
      benchmark::RegisterBenchmark((name + "with").c_str(), bench_side, which, which.with, isa)
          ->Unit(benchmark::kMicrosecond);
      benchmark::RegisterBenchmark((name + "without").c_str(), bench_side, which, which.without, isa)
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

}  // namespace mithral::bench
