#include "train/trees/bin_columns.h"

#include <algorithm>
#include <utility>

#include "train/parallel_for.h"

namespace mithral::train_internal {
namespace {

constexpr int64_t kRowsForQuantiles = 4096;

struct ValueCount {
  float value;
  int64_t count;
};

std::vector<ValueCount> distinct_values(std::vector<float> values) {
  std::sort(values.begin(), values.end());
  std::vector<ValueCount> distinct;
  for (const float value : values) {
    if (distinct.empty() || distinct.back().value < value) distinct.push_back({value, 0});
    ++distinct.back().count;
  }
  return distinct;
}

// A threshold t with low <= t < high. The sum is taken in double, where it cannot overflow; rounding the midpoint of
// neighbouring floats may give `high`, which `x > t` would then send the wrong way.
float cut_between(float low, float high) {
  const float middle = static_cast<float>((static_cast<double>(low) + high) / 2);
  return middle < high ? middle : low;
}

std::vector<float> cut_values(const std::vector<ValueCount>& distinct, int64_t n_values) {
  const bool exact = distinct.size() <= kMaxBins;
  std::vector<float> cuts;
  int64_t rows_left = n_values;  // rows and bins after the last cut
  int64_t bins_left = exact ? kMaxBins : kQuantileBins;
  int64_t rows_in_bin = 0;
  for (size_t i = 0; i + 1 < distinct.size() && bins_left > 1; ++i) {
    rows_in_bin += distinct[i].count;
    const bool full = rows_in_bin * bins_left >= rows_left;
    const bool next_fills_a_bin = distinct[i + 1].count * bins_left >= rows_left;
    if (!exact && !full && !next_fills_a_bin) continue;
    cuts.push_back(cut_between(distinct[i].value, distinct[i + 1].value));
    rows_left -= rows_in_bin;
    --bins_left;
    rows_in_bin = 0;
  }
  return cuts;
}

struct ChosenCuts {
  std::vector<float> cuts;
  bool one_per_value;
};

ChosenCuts choose_cuts(const std::vector<float>& values) {
  const size_t stride = std::max<size_t>(1, values.size() / kRowsForQuantiles);
  std::vector<float> some;
  for (size_t i = 0; i < values.size(); i += stride) some.push_back(values[i]);
  const auto n_some = static_cast<int64_t>(some.size());
  const std::vector<ValueCount> of_some = distinct_values(std::move(some));
  if (of_some.size() > kMaxBins) return {cut_values(of_some, n_some), false};
  const std::vector<ValueCount> of_all = stride == 1 ? of_some : distinct_values(values);
  return {cut_values(of_all, static_cast<int64_t>(values.size())), of_all.size() <= kMaxBins};
}

// How many cuts are below a value: std::lower_bound without its branches, which random values mispredict.
uint8_t bin_of(float value, const std::vector<float>& cuts) {
  const float* first = cuts.data();
  for (size_t n = cuts.size(); n > 0;) {
    const size_t half = (n + 1) / 2;
    first += half * static_cast<size_t>(first[half - 1] < value);
    n -= half;
  }
  return static_cast<uint8_t>(first - cuts.data());
}

}  // namespace

BinnedColumns bin_columns(const RowsF& rows, int64_t n_threads) {
  BinnedColumns binned;
  binned.bins.resize(rows.rows(), rows.cols());
  binned.cuts.resize(rows.cols());
  binned.has_a_bin_per_value.resize(rows.cols());
  parallel_for(rows.cols(), n_threads, [&](int64_t j) {
    const std::vector<float> values(rows.col(j).begin(), rows.col(j).end());
    ChosenCuts chosen = choose_cuts(values);
    const std::vector<float>& cuts = binned.cuts[j] = std::move(chosen.cuts);
    binned.has_a_bin_per_value[j] = chosen.one_per_value;
    for (int64_t i = 0; i < rows.rows(); ++i) binned.bins(i, j) = bin_of(values[i], cuts);
  });
  return binned;
}

BinnedColumns every_nth_row(const BinnedColumns& columns, int64_t stride) {
  return {columns.bins(Eigen::seq(0, columns.n_rows() - 1, stride), Eigen::all), columns.cuts,
          columns.has_a_bin_per_value};
}

}  // namespace mithral::train_internal
