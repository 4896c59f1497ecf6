// How a call's rows are shared among threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "codegen/model/model.h"
#include "codegen/model/multiples.h"
#include "codegen/plan/schedule.h"
#include "codegen/program/target.h"
#include "runtime/rows.h"
#include "runtime/thread_pool.h"

namespace mithral {

class Parts {
 public:
  // Up to `n_threads` threads, for kernels of this model with this schedule.
  Parts(const Model& model, const codegen::Schedule& schedule, const Target& target, int64_t n_threads);

  int64_t n_threads() const { return n_threads_; }

  // Calls `part(first, count)` for whole blocks of the rows, on as many threads as pay. Rows do not depend on one
  // another, so results do not depend on the cut.
  template <typename Part>
  void for_parts(const Rows& rows, Part&& part) const {
    const int64_t n_threads = useful_threads(rows);
    if (n_threads == 1) return part(int64_t{0}, rows.count());
    const int64_t part_rows = divide_up(rows.count(), n_threads * kPartsPerThread * block_rows_) * block_rows_;
    const auto run_one = [&](int64_t i) { part(i * part_rows, std::min(part_rows, rows.count() - i * part_rows)); };
    run_parts(divide_up(rows.count(), part_rows), n_threads, PartFunction(run_one));
  }

 private:
  // So that a worker that comes late, or whose CPU is busy, leaves little to wait for.
  static constexpr int64_t kPartsPerThread = 4;

  int64_t useful_threads(const Rows& rows) const;

  int64_t n_threads_, block_rows_;
  double row_major_seconds_ = 0, column_major_seconds_ = 0;  // per row, by the cost model; if there are several threads
};

}  // namespace mithral
