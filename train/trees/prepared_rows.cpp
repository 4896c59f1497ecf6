#include "train/trees/prepared_rows.h"

#include <algorithm>

namespace mithral::train_internal {
namespace {

constexpr int64_t kValidationRows = 4096;  // the most that judge each tree

}  // namespace

PreparedRows::PreparedRows(const RowsF& learned_from, const RowsF& validation_rows, const MatrixD& b, int64_t n_threads)
    : PreparedRows(learned_from, validation_rows, find_search_space(learned_from, b, n_threads), n_threads) {}

PreparedRows::PreparedRows(const RowsF& learned_from, const RowsF& validation_rows, const SearchSpace& space,
                           int64_t n_threads)
    : rows(learned_from),
      columns(bin_columns(rows, n_threads)),
      stride(std::max<int64_t>(1, rows.rows() / kSampleRows)),
      sample(every_nth_row(columns, stride)),
      outputs(space.outputs(rows, n_threads)),
      validation(validation_rows.topRows(std::min(validation_rows.rows(), kValidationRows))),
      validation_outputs(space.outputs(validation, n_threads)) {}

}  // namespace mithral::train_internal
