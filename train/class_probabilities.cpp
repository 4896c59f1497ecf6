#include "train/class_probabilities.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <iterator>
#include <utility>

#include "train/augment.h"
#include "train/parallel_for.h"
#include "train/standard_error.h"

namespace mithral::train_internal {
namespace {

// Temperatures, as multiples of the exact outputs' mean gap between the largest and the second.
constexpr double kTemperatures[] = {0.25, 0.5, 1.0};
static_assert(std::size(kTemperatures) == kClassFitSteps);

constexpr int kMaxSteps = 150;
constexpr int kStepsPerCheck = 10;
constexpr int kPatience = 4;                      // checks without an improvement before a temperature is left
constexpr double kStepSize = 0.03;                // of the entries' root mean square
constexpr int64_t kMaxValues = int64_t{1} << 22;  // rows times outputs that are looked at
constexpr int64_t kBlockRows = 512;

constexpr int64_t kFewValidationRows = 1024;  // fewer than this are filled up
constexpr int64_t kJudgingRows = 4096;        // what they are filled up to

// exp(x) for x <= 0, to about 1e-7. The C library's differs between CPUs in the last bit, and training must not.
float exp_of(float x) {
  const float clamped = std::max(x, -80.0f);
  const float n = std::floor(clamped * 1.44269504f + 0.5f);
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;  // x - n ln 2
  const float p =
      1 + r * (1 + r * (0.5f + r * (0.166666667f + r * (0.0416666667f + r * (0.00833333333f + r * 0.00138888889f)))));
  return p * std::bit_cast<float>((static_cast<int32_t>(n) + 127) << 23);
}

void softmax_in_place(Eigen::Ref<Eigen::RowVectorXf> row, float inverse_temperature) {
  const float largest = row.maxCoeff();
  float sum = 0;
  for (float& value : row) sum += value = exp_of((value - largest) * inverse_temperature);
  row /= sum;
}

// Codes of rows and the exact outputs, bias included.
struct Task {
  Codes codes;
  MatrixF exact;
};

Task make_task(const CodedRows& rows, const MatrixD& b, std::span<const float> bias) {
  const int64_t count = std::clamp<int64_t>(kMaxValues / b.cols(), 1, rows.rows.rows());
  MatrixD exact = rows.rows.topRows(count).cast<double>() * b;
  for (size_t m = 0; m < bias.size(); ++m) exact.col(static_cast<int64_t>(m)).array() += bias[m];
  return {rows.codes.topRows(count), exact.cast<float>()};
}

// The entries, and the mean as one more row.
struct Parameters {
  MatrixF values;  // (C*K + 1, M)
  int64_t n_entries;

  Eigen::RowVectorXf predict(const Codes& codes, int64_t i) const {
    Eigen::RowVectorXf sum = values.bottomRows(1);
    for (int64_t c = 0; c < codes.cols(); ++c) sum += values.row(c * n_entries + codes(i, c));
    return sum;
  }
};

// d(cross-entropy) / d(parameters), up to the temperature.
MatrixF gradient(const Parameters& parameters, const Task& task, const MatrixF& wanted, float inverse_temperature,
                 int64_t n_threads) {
  const int64_t n = task.codes.rows();
  MatrixF errors(n, wanted.cols());
  parallel_for((n + kBlockRows - 1) / kBlockRows, n_threads, [&](int64_t block) {
    for (int64_t i = block * kBlockRows; i < std::min((block + 1) * kBlockRows, n); ++i) {
      Eigen::RowVectorXf row = parameters.predict(task.codes, i);
      softmax_in_place(row, inverse_temperature);
      errors.row(i) = row - wanted.row(i);
    }
  });
  MatrixF result = MatrixF::Zero(parameters.values.rows(), parameters.values.cols());
  parallel_for(task.codes.cols() + 1, n_threads, [&](int64_t c) {
    for (int64_t i = 0; i < n; ++i) {
      const int64_t entry = c == task.codes.cols() ? 0 : task.codes(i, c);
      result.row(c * parameters.n_entries + entry) += errors.row(i);
    }
  });
  return result / static_cast<float>(n);
}

MatrixF probabilities(const MatrixF& outputs, float inverse_temperature) {
  MatrixF result = outputs;
  for (int64_t i = 0; i < result.rows(); ++i) {
    Eigen::RowVectorXf row = result.row(i);
    softmax_in_place(row, inverse_temperature);
    result.row(i) = row;
  }
  return result;
}

// How rows fare with some tables.
struct Score {
  Eigen::ArrayXd agreement;  // [n]: the share of equal argmax, per validation row with those made of it
  double difference = 0;     // squared, of the class probabilities, summed over rows and classes

  bool operator>(const Score& other) const {
    const double more = agreement.sum() - other.agreement.sum();
    return more > 0 || (more == 0 && difference < other.difference);
  }
  bool exceeds_chance(const Score& other) const {
    const Eigen::ArrayXd more = agreement - other.agreement;
    return more.mean() > standard_error_of_mean(more);
  }
};

// Judges tables by rows that they were not fitted to.
class Judge {
 public:
  Judge(const CodedRows& rows, int64_t n_validation_rows, const MatrixD& b, std::span<const float> bias)
      : task_(make_task(rows, b, bias)), n_rows_(std::min(n_validation_rows, task_.codes.rows())) {}

  bool fits_floats() const { return task_.exact.allFinite(); }

  void set_temperature(double temperature) {
    inverse_ = static_cast<float>(1 / temperature);
    wanted_ = probabilities(task_.exact, inverse_);
  }

  Score score(const Parameters& parameters) const {
    Score result{Eigen::ArrayXd::Zero(n_rows_)};
    Eigen::ArrayXd counts = Eigen::ArrayXd::Zero(n_rows_);
    for (int64_t i = 0; i < task_.codes.rows(); ++i) {
      Eigen::RowVectorXf row = parameters.predict(task_.codes, i);
      ++counts[i % n_rows_];
      result.agreement[i % n_rows_] += argmax(row) == argmax(task_.exact.row(i)) ? 1 : 0;
      softmax_in_place(row, inverse_);
      result.difference += (row - wanted_.row(i)).cast<double>().squaredNorm();
    }
    result.agreement /= counts;
    return result;
  }

 private:
  Task task_;
  int64_t n_rows_;  // validation rows: row i of the task is one, or made of one, i modulo n_rows_
  float inverse_ = 0;
  MatrixF wanted_;
};

double mean_gap(const MatrixF& outputs) {
  double sum = 0;
  for (int64_t i = 0; i < outputs.rows(); ++i) {
    Eigen::RowVectorXf row = outputs.row(i);
    std::partial_sort(row.begin(), row.begin() + 2, row.end(), std::greater<>());
    sum += static_cast<double>(row[0]) - row[1];
  }
  return sum / static_cast<double>(outputs.rows());
}

// Adam's moments and steps.
class Adam {
 public:
  explicit Adam(const MatrixF& values, float step_size)
      : step_size_(step_size),
        mean_(MatrixF::Zero(values.rows(), values.cols())),
        square_(MatrixF::Zero(values.rows(), values.cols())) {}

  void step(const MatrixF& gradient, MatrixF& values) {
    constexpr float kMeanDecay = 0.9f, kSquareDecay = 0.99f;
    mean_power_ *= kMeanDecay;
    square_power_ *= kSquareDecay;
    mean_ = kMeanDecay * mean_ + (1 - kMeanDecay) * gradient;
    square_ = kSquareDecay * square_ + (1 - kSquareDecay) * gradient.cwiseAbs2();
    const float mean_scale = step_size_ / (1 - mean_power_), square_scale = 1 / (1 - square_power_);
    values.array() -= mean_scale * mean_.array() / ((square_scale * square_.array()).sqrt() + 1e-12f);
  }

 private:
  float step_size_;
  float mean_power_ = 1, square_power_ = 1;
  MatrixF mean_, square_;
};

// The start of every minimisation: the given tables, the bias in their mean.
Parameters parameters_from(const RealTables& tables, std::span<const float> bias) {
  Parameters start{MatrixF(tables.entries.rows() + 1, tables.mean.size()), tables.n_entries};
  Eigen::RowVectorXd mean = tables.mean;
  for (size_t m = 0; m < bias.size(); ++m) mean[static_cast<int64_t>(m)] += bias[m];
  start.values << tables.entries.cast<float>(), mean.cast<float>();
  return start;
}

RealTables tables_from(const Parameters& parameters, std::span<const float> bias) {
  const auto& values = parameters.values;
  RealTables tables{values.bottomRows(1).cast<double>(), values.topRows(values.rows() - 1).cast<double>(),
                    parameters.n_entries};
  for (size_t m = 0; m < bias.size(); ++m) tables.mean[static_cast<int64_t>(m)] -= bias[m];
  return tables;
}

// A minimisation under way, at one temperature.
class Fit {
 public:
  Fit(const RealTables& tables, const Task& task, std::span<const float> bias, double temperature, int64_t n_threads)
      : task_(task),
        inverse_(static_cast<float>(1 / temperature)),
        wanted_(probabilities(task.exact, inverse_)),
        parameters_(parameters_from(tables, bias)),
        adam_(parameters_.values, static_cast<float>(kStepSize * root_mean_square(tables.entries))),
        n_threads_(n_threads) {}

  void step() { adam_.step(gradient(parameters_, task_, wanted_, inverse_, n_threads_), parameters_.values); }
  const Parameters& parameters() const { return parameters_; }

 private:
  static double root_mean_square(const MatrixD& x) {
    return std::sqrt(x.squaredNorm() / static_cast<double>(x.size()));
  }

  const Task& task_;
  float inverse_;
  MatrixF wanted_;
  Parameters parameters_;
  Adam adam_;
  int64_t n_threads_;
};

}  // namespace

MatrixF make_judging_rows(const RowsF& validation) {
  const bool few = validation.rows() > 0 && validation.rows() < kFewValidationRows;
  return few ? augment_rows(validation, kJudgingRows, 0) : MatrixF(validation);
}

ClassFit choose_class_fit(const RealTables& tables, const CodedRows& learned_rows, const CodedRows& judging,
                          int64_t n_validation_rows, const MatrixD& b, std::span<const float> bias, int64_t n_threads,
                          Progress& progress) {
  if (b.cols() == 1 || n_validation_rows == 0) return {};
  const Task learned = make_task(learned_rows, b, bias);
  Judge judge(judging, n_validation_rows, b, bias);
  if (!learned.exact.allFinite() || !judge.fits_floats()) return {};
  const double gap = mean_gap(learned.exact);
  if (!(gap > 1e-30)) return {};  // no winner anywhere

  judge.set_temperature(kTemperatures[0] * gap);
  const Score as_given = judge.score(parameters_from(tables, bias));
  Score most = as_given;
  ClassFit best;
  for (const double multiple : kTemperatures) {
    Fit fit(tables, learned, bias, multiple * gap, n_threads);
    for (int step = 1, checks_left = kPatience; step <= kMaxSteps && checks_left > 0; ++step) {
      fit.step();
      if (step % kStepsPerCheck != 0) continue;
      progress.poll();
      --checks_left;
      Score reached = judge.score(fit.parameters());
      if (!(reached > most)) continue;
      most = std::move(reached);
      checks_left = kPatience;
      best = {multiple * gap, step};
    }
    progress.step();
  }
  return most.exceeds_chance(as_given) ? best : ClassFit{};
}

RealTables fit_class_probabilities(const RealTables& tables, const CodedRows& rows, const ClassFit& how,
                                   const MatrixD& b, std::span<const float> bias, int64_t n_threads,
                                   Progress& progress) {
  if (how.n_steps == 0) return tables;
  const Task task = make_task(rows, b, bias);
  Fit fit(tables, task, bias, how.temperature, n_threads);
  for (int step = 0; step < how.n_steps; ++step) {
    fit.step();
    if (step % kStepsPerCheck == 0) progress.poll();
  }
  return tables_from(fit.parameters(), bias);
}

}  // namespace mithral::train_internal
