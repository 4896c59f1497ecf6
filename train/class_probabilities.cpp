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

// Linear dims as these parameters weight them: of mean 0 and deviation 1, so that steps of all weights are alike.
struct ScaledDims {
  DimSteps steps;
  Eigen::RowVectorXf mean, inverse_deviation;  // (S)

  explicit ScaledDims(const RealLinear& linear)
      : steps(linear.steps),
        mean(linear.mean.cast<float>()),
        inverse_deviation((1 / linear.variance.array().max(1e-12).sqrt()).matrix().cast<float>()) {}

  MatrixF of(const RowsF& rows) const {
    if (steps.size() == 0) return MatrixF(rows.rows(), 0);
    MatrixF dims = quantise_rows(steps, rows).rowwise() - mean;
    return dims.array().rowwise() * inverse_deviation.array();
  }
};

// Codes and scaled dims of rows, and the exact outputs, bias included.
struct Task {
  Codes codes;
  MatrixF dims;
  MatrixF exact;
};

Task make_task(const CodedRows& rows, const ScaledDims& dims, const MatrixD& b, std::span<const float> bias) {
  const int64_t count = std::clamp<int64_t>(kMaxValues / b.cols(), 1, rows.rows.rows());
  MatrixD exact = rows.rows.topRows(count).cast<double>() * b;
  for (size_t m = 0; m < bias.size(); ++m) exact.col(static_cast<int64_t>(m)).array() += bias[m];
  return {rows.codes.topRows(count), dims.of(rows.rows.topRows(count)), exact.cast<float>()};
}

// The entries, the weights of scaled dims, and the mean as one more row.
struct Parameters {
  MatrixF values;  // (C*K + S + 1, M)
  int64_t n_entries;
  int64_t n_dims;

  int64_t first_dim() const { return values.rows() - 1 - n_dims; }

  // Outputs of rows from `begin` on.
  MatrixF predict(const Task& task, int64_t begin, int64_t count) const {
    MatrixF sums = values.bottomRows(1).replicate(count, 1);
    if (n_dims > 0) sums.noalias() += task.dims.middleRows(begin, count) * values.middleRows(first_dim(), n_dims);
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t c = 0; c < task.codes.cols(); ++c) {
        sums.row(i) += values.row(c * n_entries + task.codes(begin + i, c));
      }
    }
    return sums;
  }
};

// Calls `body(begin, count)` for the blocks of n rows.
template <typename Body>
void for_blocks(int64_t n, int64_t n_threads, Body&& body) {
  parallel_for((n + kBlockRows - 1) / kBlockRows, n_threads,
               [&](int64_t block) { body(block * kBlockRows, std::min(kBlockRows, n - block * kBlockRows)); });
}

// d(cross-entropy) / d(parameters), up to the temperature.
MatrixF gradient(const Parameters& parameters, const Task& task, const MatrixF& wanted, float inverse_temperature,
                 int64_t n_threads) {
  const int64_t n = task.exact.rows();
  MatrixF errors(n, wanted.cols());
  for_blocks(n, n_threads, [&](int64_t begin, int64_t count) {
    MatrixF outputs = parameters.predict(task, begin, count);
    for (int64_t i = 0; i < count; ++i) {
      Eigen::RowVectorXf row = outputs.row(i);
      softmax_in_place(row, inverse_temperature);
      errors.row(begin + i) = row - wanted.row(begin + i);
    }
  });
  MatrixF result = MatrixF::Zero(parameters.values.rows(), parameters.values.cols());
  parallel_for(task.codes.cols() + 1, n_threads, [&](int64_t c) {
    for (int64_t i = 0; i < n; ++i) {
      const int64_t row = c == task.codes.cols() ? result.rows() - 1 : c * parameters.n_entries + task.codes(i, c);
      result.row(row) += errors.row(i);
    }
  });
  if (parameters.n_dims > 0) {
    result.middleRows(parameters.first_dim(), parameters.n_dims).noalias() = task.dims.transpose() * errors;
  }
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

// How rows fare with some parameters.
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

// Judges parameters by rows that they were not fitted to.
class Judge {
 public:
  Judge(Task task, int64_t n_validation_rows)
      : task_(std::move(task)), n_rows_(std::min(n_validation_rows, task_.exact.rows())) {}

  bool fits_floats() const { return task_.exact.allFinite(); }

  void set_temperature(double temperature) {
    inverse_ = static_cast<float>(1 / temperature);
    wanted_ = probabilities(task_.exact, inverse_);
  }

  Score score(const Parameters& parameters) const {
    Score result{Eigen::ArrayXd::Zero(n_rows_)};
    Eigen::ArrayXd counts = Eigen::ArrayXd::Zero(n_rows_);
    const MatrixF outputs = parameters.predict(task_, 0, task_.exact.rows());
    for (int64_t i = 0; i < outputs.rows(); ++i) {
      Eigen::RowVectorXf row = outputs.row(i);
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
  // `step_sizes`: one for each row of the values.
  Adam(const MatrixF& values, Eigen::VectorXf step_sizes)
      : step_sizes_(std::move(step_sizes)),
        mean_(MatrixF::Zero(values.rows(), values.cols())),
        square_(MatrixF::Zero(values.rows(), values.cols())) {}

  void step(const MatrixF& gradient, MatrixF& values) {
    constexpr float kMeanDecay = 0.9f, kSquareDecay = 0.99f;
    mean_power_ *= kMeanDecay;
    square_power_ *= kSquareDecay;
    mean_ = kMeanDecay * mean_ + (1 - kMeanDecay) * gradient;
    square_ = kSquareDecay * square_ + (1 - kSquareDecay) * gradient.cwiseAbs2();
    const Eigen::VectorXf mean_scales = step_sizes_ / (1 - mean_power_);
    const float square_scale = 1 / (1 - square_power_);
    for (int64_t i = 0; i < values.rows(); ++i) {
      values.row(i).array() -=
          mean_scales[i] * mean_.row(i).array() / ((square_scale * square_.row(i).array()).sqrt() + 1e-12f);
    }
  }

 private:
  Eigen::VectorXf step_sizes_;
  float mean_power_ = 1, square_power_ = 1;
  MatrixF mean_, square_;
};

// The start of every minimisation: the given parts, the bias in their mean.
Parameters parameters_from(const ClassParts& parts, std::span<const float> bias) {
  const RealTables& tables = parts.tables;
  const int64_t n_dims = parts.linear.size(), n_entries = tables.entries.rows();
  Parameters start{MatrixF(n_entries + n_dims + 1, tables.mean.size()), tables.n_entries, n_dims};
  Eigen::RowVectorXd mean = tables.mean;
  for (size_t m = 0; m < bias.size(); ++m) mean[static_cast<int64_t>(m)] += bias[m];
  start.values.topRows(n_entries) = tables.entries.cast<float>();
  const ScaledDims scaled(parts.linear);
  for (int64_t s = 0; s < n_dims; ++s) {
    start.values.row(n_entries + s) = parts.linear.weights.row(s).cast<float>() / scaled.inverse_deviation[s];
  }
  start.values.bottomRows(1) = mean.cast<float>();
  return start;
}

void set_parts(const Parameters& parameters, std::span<const float> bias, ClassParts& parts) {
  const MatrixF& values = parameters.values;
  const int64_t n_entries = parts.tables.entries.rows();
  parts.tables.entries = values.topRows(n_entries).cast<double>();
  const ScaledDims scaled(parts.linear);
  for (int64_t s = 0; s < parameters.n_dims; ++s) {
    parts.linear.weights.row(s) = (values.row(n_entries + s) * scaled.inverse_deviation[s]).cast<double>();
  }
  parts.tables.mean = values.bottomRows(1).cast<double>();
  for (size_t m = 0; m < bias.size(); ++m) parts.tables.mean[static_cast<int64_t>(m)] -= bias[m];
}

// Steps of the entries, the weights and the mean: a share of their root mean squares, the mean's being that of entries.
Eigen::VectorXf step_sizes(const Parameters& parameters) {
  const int64_t n_entries = parameters.first_dim();
  const auto share = [&](int64_t begin, int64_t count) {
    const MatrixF rows = parameters.values.middleRows(begin, count);
    const double mean_square =
        rows.cast<double>().squaredNorm() / static_cast<double>(std::max<int64_t>(rows.size(), 1));
    return static_cast<float>(kStepSize * std::sqrt(mean_square));
  };
  const float of_entries = share(0, n_entries), of_dims = share(n_entries, parameters.n_dims);
  Eigen::VectorXf result = Eigen::VectorXf::Constant(parameters.values.rows(), n_entries > 0 ? of_entries : of_dims);
  result.segment(n_entries, parameters.n_dims).setConstant(of_dims);
  return result;
}

// A minimisation under way, at one temperature.
class Fit {
 public:
  Fit(const ClassParts& parts, const Task& task, std::span<const float> bias, double temperature, int64_t n_threads)
      : task_(task),
        inverse_(static_cast<float>(1 / temperature)),
        wanted_(probabilities(task.exact, inverse_)),
        parameters_(parameters_from(parts, bias)),
        adam_(parameters_.values, step_sizes(parameters_)),
        n_threads_(n_threads) {}

  void step() { adam_.step(gradient(parameters_, task_, wanted_, inverse_, n_threads_), parameters_.values); }
  const Parameters& parameters() const { return parameters_; }

 private:
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

ClassFit choose_class_fit(const ClassParts& parts, const CodedRows& learned_rows, const CodedRows& judging,
                          int64_t n_validation_rows, const MatrixD& b, std::span<const float> bias, int64_t n_threads,
                          Progress& progress) {
  if (b.cols() == 1 || n_validation_rows == 0) return {};
  const ScaledDims dims(parts.linear);
  const Task learned = make_task(learned_rows, dims, b, bias);
  Judge judge(make_task(judging, dims, b, bias), n_validation_rows);
  if (!learned.exact.allFinite() || !judge.fits_floats()) return {};
  const double gap = mean_gap(learned.exact);
  if (!(gap > 1e-30)) return {};  // no winner anywhere

  judge.set_temperature(kTemperatures[0] * gap);
  const Score as_given = judge.score(parameters_from(parts, bias));
  Score most = as_given;
  ClassFit best;
  for (const double multiple : kTemperatures) {
    Fit fit(parts, learned, bias, multiple * gap, n_threads);
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

ClassParts fit_class_probabilities(ClassParts parts, const CodedRows& rows, const ClassFit& how, const MatrixD& b,
                                   std::span<const float> bias, int64_t n_threads, Progress& progress) {
  if (how.n_steps == 0) return parts;
  const Task task = make_task(rows, ScaledDims(parts.linear), b, bias);
  Fit fit(parts, task, bias, how.temperature, n_threads);
  for (int step = 0; step < how.n_steps; ++step) {
    fit.step();
    if (step % kStepsPerCheck == 0) progress.poll();
  }
  set_parts(fit.parameters(), bias, parts);
  return parts;
}

}  // namespace mithral::train_internal
