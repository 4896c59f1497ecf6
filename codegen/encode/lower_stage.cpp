#include "codegen/encode/lower_stage.h"

#include <algorithm>

#include "codegen/model/cache_line.h"
#include "codegen/program/program_builder.h"
#include "codegen/program/routine.h"
#include "codegen/program/sizes.h"

namespace mithral::codegen {
namespace {

constexpr int kWindow = 4;  // columns of one 128-bit segment

// Columns this close share a prefetch: half a line, as where lines begin is not known yet.
constexpr int kPrefetchFloats = 8;

class StageLowering {
 public:
  StageLowering(const std::vector<int32_t>& columns, const StageSchedule& schedule, const Target& target)
      : columns_(columns), schedule_(schedule), target_(target), b_({RoutineKind::kStageRows}, target) {}

  Program run() {
    const Preg x = b_.arg(Arg::x);
    load_strides(b_.arg(Arg::row_stride));
    staged_ = b_.arg(Arg::staged);
    const Preg n_vectors = b_.arg(Arg::n_vectors);
    for (int r = 0; r < target_.lanes(); r += 4) quads_.push_back(r == 0 ? x : b_.add(quads_.back(), stride_4_));

    b_.repeat(n_vectors, [&] {
      if (schedule_.prefetch_rows > 0) prefetch_rows_ahead();
      for (size_t u = 0; u < columns_.size();) u += lower_window(u);
      for (const Preg quad : quads_) {
        for (int r = 0; r < target_.lanes(); r += 4) b_.add_to(quad, quad, stride_4_);
      }
      b_.advance(staged_, target_.vector_bytes);
    });
    return b_.finish();
  }

 private:
  using Arg = StageArguments::Index;

  // Rows are reached in fours: row 4*i + j at quads_[i] + j * row_stride.
  void load_strides(Preg stride) {
    strides_ = {kNoPreg, stride, b_.add(stride, stride)};
    strides_.push_back(b_.add(strides_[2], stride));
    stride_4_ = b_.add(strides_[2], strides_[2]);
    if (schedule_.prefetch_rows > 0) stride_ahead_ = b_.mul_imm(stride, schedule_.prefetch_rows);
  }

  Mem element(int row, int64_t column) const { return at(quads_[row / 4], strides_[row % 4], column * kFloatBytes); }

  // Lines of rows to come, row by row as they lie in memory: the stride between the rows of a group defeats the
  // hardware's prefetchers.
  void prefetch_rows_ahead() {
    for (int row = 0; row < target_.lanes(); ++row) {
      if (row % 4 == 0) ahead_ = b_.add(quads_[row / 4], stride_ahead_);
      int32_t covered = -1;
      for (const int32_t column : columns_) {
        if (column < covered) continue;
        covered = column + kPrefetchFloats;
        b_.prefetch(at(ahead_, strides_[row % 4], int64_t{column} * kFloatBytes));
      }
    }
  }

  // Stages the columns from index u on that fit one window of four; returns how many. A transposition costs as much as
  // collecting a single column, so it pays from the second column on; with masks, which collect lane by lane with three
  // instructions each, from the first.
  size_t lower_window(size_t u) {
    const int32_t last_start = n_readable() - kWindow;
    size_t count = 1;
    while (u + count < columns_.size() && columns_[u + count] < columns_[u] + kWindow) ++count;
    if (last_start < 0 || (count == 1 && !target_.has(Feature::kMasks))) {
      stage(u, collect_column(columns_[u]));
      return 1;
    }
    const int32_t start = std::min(columns_[u], last_start);
    count = 1;
    while (u + count < columns_.size() && columns_[u + count] < start + kWindow) ++count;
    stage_transposed(u, count, start);
    return count;
  }

  // Reading may go up to the last used column: that is surely inside the row.
  int32_t n_readable() const { return columns_.back() + 1; }

  Vreg collect_column(int32_t column) {
    Vreg result = b_.broadcast_32(element(0, column));
    for (int row = 1; row < target_.lanes(); ++row) {
      result = b_.blend_lane(result, b_.broadcast_32(element(row, column)), row);
    }
    return result;
  }

  // Segment s of vector k holds four columns of row 4*s + k; a 4x4 transposition within segments turns that into one
  // vector of W rows per column.
  void stage_transposed(size_t u, size_t count, int32_t start) {
    std::vector<Vreg> rows;
    for (int k = 0; k < 4; ++k) {
      Vreg row = b_.load_128(element(k, start));
      for (int s = 1; s < target_.lanes() / 4; ++s) row = b_.insert_128(row, element(4 * s + k, start), s);
      rows.push_back(row);
    }
    for (int pair = 0; pair < 2; ++pair) {
      const auto wanted = [&](int column) {
        return std::find(columns_.begin() + u, columns_.begin() + u + count, start + column) - columns_.begin();
      };
      const size_t low = wanted(2 * pair), high = wanted(2 * pair + 1);
      if (low == u + count && high == u + count) continue;
      const Vreg ab = pair == 0 ? b_.unpack_lo_32(rows[0], rows[1]) : b_.unpack_hi_32(rows[0], rows[1]);
      const Vreg cd = pair == 0 ? b_.unpack_lo_32(rows[2], rows[3]) : b_.unpack_hi_32(rows[2], rows[3]);
      if (low != u + count) stage(low, b_.unpack_lo_64(ab, cd));
      if (high != u + count) stage(high, b_.unpack_hi_64(ab, cd));
    }
  }

  void stage(size_t u, Vreg values) {
    b_.store(at(staged_, static_cast<int64_t>(u) * schedule_.rows * kFloatBytes), values);
  }

  const std::vector<int32_t>& columns_;
  const StageSchedule& schedule_;
  const Target& target_;
  ProgramBuilder b_;
  std::vector<Preg> quads_;    // pointers to rows 0, 4, ... of the group
  std::vector<Preg> strides_;  // 0, 1, 2, 3 rows, in bytes
  Preg stride_4_{}, stride_ahead_{}, ahead_{}, staged_{};
};

}  // namespace

Program lower_stage_rows(const std::vector<int32_t>& columns, const StageSchedule& schedule, const Target& target) {
  return StageLowering(columns, schedule, target).run();
}

int64_t count_lines(const std::vector<int32_t>& columns) {
  int64_t count = 0;
  for (size_t i = 0; i < columns.size(); ++i) {
    count += i == 0 || line_of(columns[i]) != line_of(columns[i - 1]);
  }
  return count;
}

}  // namespace mithral::codegen
