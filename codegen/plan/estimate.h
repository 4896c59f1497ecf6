// How long a call takes, estimated from shapes alone: whether a model is worth compiling, and which of several is the
// cheapest, before any of them is trained. Kernels' calls of many rows take within a factor of two of it, exact
// products within a factor of three, where outputs are few. Calls of few rows whose tables are in a cache take as
// little as a quarter of it.
#pragma once

#include <cstdint>
#include <memory>

#include "codegen/model/model.h"
#include "codegen/program/target.h"

namespace mithral {

// What the time of a call depends on.
struct ModelShape {
  int64_t n_features = 0;   // D
  int64_t n_outputs = 0;    // M
  int64_t n_codebooks = 0;  // C
  int64_t n_entries = 0;    // K
  int64_t depth = 0;        // L; 0: codes are given
  double n_lines = 0;       // 64-byte lines of a row-major row that hold columns which are read
  double n_columns = 0;     // that some split or linear dim reads
  double n_groups = 1;      // of codebooks whose table entries are added in bytes
  int64_t n_linear = 0;     // S, latents included
  int64_t n_adjacent = 0;   // linear dims that fill lines of a row: these are not staged
  std::shared_ptr<const ModelShape> latents = nullptr;  // of the model whose outputs are latents, if there are some
};

ModelShape shape_of(const Model& model);
std::shared_ptr<const ModelShape> shape_of_latents(const Model& model);

// Which columns a model reads that is not trained yet.
enum class ColumnPlaces {
  kAnywhere,  // as if by chance
  kFewLines,  // as layout "row" has them: linear dims, if not few, are whole cache lines of a row; splits prefer some
};

// The shape of a model that is not trained yet, its C * L split dims spread over the D columns; `read` times as many
// columns and lines for them, where more is known of them.
// Throws InvalidArgument for a size that no model has.
ModelShape expected_shape(int64_t n_features, int64_t n_outputs, int64_t n_codebooks, int64_t depth,
                          int64_t n_linear = 0, ColumnPlaces places = ColumnPlaces::kAnywhere, double read = 1);

// The shape of one whose outputs are all made of `n_latents`, and these of `latent_dims` linear dims.
ModelShape expected_shape_of_latents(int64_t n_features, int64_t n_outputs, int64_t n_latents, int64_t latent_dims,
                                     ColumnPlaces places);

enum class InputOrder { kRowMajor, kColumnMajor };

// Seconds of one call on one thread, float32 in and row-major float32 out.
struct TimeEstimate {
  double kernel;  // a kernel of this model
  double exact;   // the exact product, by the best library in its best layout
};

// Throws InvalidArgument for a negative n_rows.
TimeEstimate estimate(const ModelShape& shape, int64_t n_rows, const Target& target,
                      InputOrder order = InputOrder::kRowMajor);

}  // namespace mithral
