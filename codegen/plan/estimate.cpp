#include "codegen/plan/estimate.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "codegen/encode/encoder_lowering.h"
#include "codegen/encode/linear/lower_quantise.h"
#include "codegen/encode/lower_stage.h"
#include "codegen/model/cache_line.h"
#include "codegen/model/error.h"
#include "codegen/model/multiples.h"
#include "codegen/plan/cost_model.h"
#include "codegen/program/sizes.h"
#include "codegen/scan/lut_groups.h"

namespace mithral {
namespace {

// Lines that splits read where they prefer some, as a share of those that they would read: 0.4 to 1 on rectified
// features of 512 columns, C = 16.
constexpr double kSharePreferred = 0.4;

// Groups of the codebooks of a model as the trainer makes them, whose first codebooks have the widest tables: 3, 4, 5
// and 7 of 8, 16, 32 and 64 (bench/problem.cpp).
double expected_groups(int64_t n_codebooks) {
  return std::max(1.0, std::round(1.06 * std::pow(static_cast<double>(n_codebooks), 0.45)));
}

// Of `count` places, how many are among `n_draws` by chance.
double expected_hits(double count, int64_t n_draws) {
  return count * (1 - std::pow(1 - 1 / count, static_cast<double>(n_draws)));
}

}  // namespace

ModelShape shape_of(const Model& model) {
  const std::unique_ptr<const codegen::EncoderLowering> encoder = codegen::encoder_lowering(model);
  const codegen::LutGroups groups = codegen::group_codebooks(entry_ranges(model.tables()));
  return {.n_features = model.n_features(),
          .n_outputs = model.n_outputs(),
          .n_codebooks = model.n_codebooks(),
          .n_entries = model.n_entries(),
          .depth = model.has_trees() ? model.trees().depth() : 0,
          .n_lines = static_cast<double>(codegen::count_lines(encoder->columns())),
          .n_columns = static_cast<double>(encoder->columns().size()),
          .n_groups = static_cast<double>(groups.size()),
          .n_linear = model.linear().size(),
          .n_adjacent = codegen::count_row_vectors(model.linear(), kLineFloats) * kLineFloats,
          .latents = shape_of_latents(model)};
}

std::shared_ptr<const ModelShape> shape_of_latents(const Model& model) {
  const std::shared_ptr<const Model>& latents = model.linear().latents();
  return latents ? std::make_shared<const ModelShape>(shape_of(*latents)) : nullptr;
}

ModelShape expected_shape(int64_t n_features, int64_t n_outputs, int64_t n_codebooks, int64_t depth, int64_t n_linear,
                          ColumnPlaces places, double read) {
  check_range("n_features", n_features, 1, HashTrees::kMaxFeatures);
  check_range("n_outputs", n_outputs, 1, Tables::kMaxOutputs);
  check_range("n_codebooks", n_codebooks, 0, Tables::kMaxCodebooks);
  check_range("n_linear", n_linear, 0, std::min(n_features, LinearDims::kMaxDims));
  check_range("depth", depth, 1, HashTrees::kMaxDepth);
  const double columns = static_cast<double>(n_features), row_lines = line_of(static_cast<int32_t>(n_features - 1)) + 1;
  const auto linear = static_cast<double>(n_linear);
  const bool few_lines = places == ColumnPlaces::kFewLines;
  const bool whole_lines = few_lines && n_linear >= kFloatsOfLine;
  const double lines_of_linear =
      whole_lines ? std::min(std::ceil(linear / kFloatsOfLine), row_lines) : expected_hits(row_lines, n_linear);
  const double share_of_lines = few_lines ? kSharePreferred * read : read;
  // Columns, or lines, that splits read besides.
  const auto others = [&](double count, double taken) {
    return (count - taken) * expected_hits(count, n_codebooks * depth) / count;
  };
  return {.n_features = n_features,
          .n_outputs = n_outputs,
          .n_codebooks = n_codebooks,
          .n_entries = int64_t{1} << depth,
          .depth = depth,
          .n_lines = lines_of_linear + share_of_lines * others(row_lines, lines_of_linear),
          .n_columns = linear + read * others(columns, linear),
          .n_groups = expected_groups(n_codebooks),
          .n_linear = n_linear,
          .n_adjacent = few_lines ? round_down(n_linear, kLineFloats) : 0};
}

ModelShape expected_shape_of_latents(int64_t n_features, int64_t n_outputs, int64_t n_latents, int64_t latent_dims,
                                     ColumnPlaces places) {
  constexpr int64_t kDepth = 1;  // of no trees
  ModelShape shape = expected_shape(n_features, n_outputs, 0, kDepth, n_latents, places);
  shape.n_columns = shape.n_lines = 0;
  shape.n_adjacent = 0;
  shape.latents =
      std::make_shared<const ModelShape>(expected_shape(n_features, n_latents, 0, kDepth, latent_dims, places));
  return shape;
}

TimeEstimate estimate(const ModelShape& shape, int64_t n_rows, const Target& target, InputOrder order) {
  if (n_rows < 0) throw InvalidArgument(message("n_rows is ", n_rows, "; allowed: 0 or more"));
  return {.kernel = codegen::call_seconds(codegen::work_of(shape, target), n_rows, target, order),
          .exact = codegen::exact_seconds(shape.n_features, shape.n_outputs, n_rows, target)};
}

}  // namespace mithral
