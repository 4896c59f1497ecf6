#include "runtime/parts.h"

#include "codegen/plan/cost_model.h"

namespace mithral {
namespace {

// Work, as the cost model counts it, below which a second thread costs more than it brings: waking one takes 30 to 70
// microseconds.
constexpr double kMinSecondsPerThread = 80e-6;

}  // namespace

Parts::Parts(const Model& model, const codegen::Schedule& schedule, const Target& target, int64_t n_threads)
    : n_threads_(n_threads), block_rows_(schedule.codes.block_rows()) {
  if (n_threads == 1) return;
  const codegen::Work work = codegen::work_of(model, schedule, target);
  row_major_seconds_ = codegen::row_seconds(work, target, InputOrder::kRowMajor);
  column_major_seconds_ = codegen::row_seconds(work, target, InputOrder::kColumnMajor);
}

int64_t Parts::useful_threads(const Rows& rows) const {
  if (n_threads_ == 1) return 1;
  const bool by_columns = rows.kind == Rows::Kind::kCodes || rows.view.row_stride == 1;
  const double seconds = static_cast<double>(rows.count()) * (by_columns ? column_major_seconds_ : row_major_seconds_);
  return static_cast<int64_t>(std::clamp(seconds / kMinSecondsPerThread, 1.0, static_cast<double>(n_threads_)));
}

}  // namespace mithral
