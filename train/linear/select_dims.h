// Which columns of the rows become linear dims.
//
// Forward selection on second moments (orthogonal least squares: Chen, Billings & Luo, "Orthogonal least squares
// methods and their application to non-linear system identification", 1989). The outputs are x B, so the moments of
// columns and outputs say what any set of columns explains. Each step takes the columns that explain most of what is
// left of all outputs, then takes out of the others what these say of them. Single columns are exchanged afterwards for
// others that explain more beside the rest.
#pragma once

#include <cstdint>
#include <vector>

#include "train/matrix.h"

namespace mithral::train_internal {

// The most columns among which dims are selected one after the other: of more, those that the outputs depend on most.
// So are more dims than that, of which there are at most kMaxFitted: memory grows with their square.
inline constexpr int64_t kMaxSelectable = 1024, kMaxFitted = 8192;

// What is selected at a time: a column, or all columns of a cache line of a row-major row of float32, which is read as
// a whole; fewer dims than a line has are selected one by one all the same.
enum class SelectBy { kColumn, kLine };

// Up to `count` columns; those of which others leave nothing are left out, but where they leave something of their
// line. Ascending; of lines, as they are best read: whole ones first. `rows` are (n, D), `b` is (D, M).
std::vector<int32_t> select_dims(const RowsF& rows, const MatrixD& b, int64_t count, SelectBy by, int64_t n_threads);

}  // namespace mithral::train_internal
