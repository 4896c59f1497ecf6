#include "train/class_probabilities.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "train/parallel_for.h"

namespace mithral::train_internal {
namespace {

// Temperatures, as multiples of the exact outputs' mean gap between the largest and the second.
constexpr double kTemperatures[kClassFitSteps] = {0.25, 0.5, 1.0};

constexpr int kMaxSteps = 150;
constexpr int kStepsPerCheck = 10;
constexpr int kPatience = 4;                       // checks without an improvement before a temperature is left
constexpr double kStepSize = 0.03;                 // of the entries' root mean square
constexpr int64_t kMaxOutputs = int64_t{1} << 22;  // rows times outputs that are looked at
constexpr int64_t kBlockRows = 512;

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

int64_t argmax(const Eigen::Ref<const Eigen::RowVectorXf>& row) {
  int64_t index = 0;
  row.maxCoeff(&index);
  return index;
}

// Rows with their codes and exact outputs, bias included.
struct Task {
  Codes codes;
  MatrixF exact;
};

Task make_task(const RowsF& rows, const std::vector<HashTree>& trees, const MatrixD& b, std::span<const float> bias,
               int64_t n_threads) {
  const int64_t count = std::clamp<int64_t>(kMaxOutputs / b.cols(), 1, rows.rows());
  const RowsF some = rows.topRows(count);
  MatrixD exact = some.cast<double>() * b;
  for (size_t m = 0; m < bias.size(); ++m) exact.col(static_cast<int64_t>(m)).array() += bias[m];
  return {encode_all(trees, some, n_threads), exact.cast<float>()};
}

// The entries, and the mean as one more row.
struct Parameters {
  MatrixF values;  // (C*K + 1, M)
  int64_t n_leaves;

  Eigen::RowVectorXf predict(const Codes& codes, int64_t i) const {
    Eigen::RowVectorXf sum = values.bottomRows(1);
    for (int64_t c = 0; c < codes.cols(); ++c) sum += values.row(c * n_leaves + codes(i, c));
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
      const int64_t leaf = c == task.codes.cols() ? 0 : task.codes(i, c);
      result.row(c * parameters.n_leaves + leaf) += errors.row(i);
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

struct Score {
  int64_t agreeing = -1;
  double difference = 0;

  bool operator>(const Score& other) const {
    return agreeing > other.agreeing || (agreeing == other.agreeing && difference < other.difference);
  }
};

Score score(const Parameters& parameters, const Task& task, const MatrixF& wanted, float inverse_temperature) {
  Score result{0, 0};
  for (int64_t i = 0; i < task.codes.rows(); ++i) {
    Eigen::RowVectorXf row = parameters.predict(task.codes, i);
    result.agreeing += argmax(row) == argmax(task.exact.row(i)) ? 1 : 0;
    softmax_in_place(row, inverse_temperature);
    result.difference += (row - wanted.row(i)).cast<double>().squaredNorm();
  }
  return result;
}

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

}  // namespace

ClassFit fit_class_probabilities(const LeafOutputs& outputs, const ChosenTrees& chosen, const RowsF& validation,
                                 const MatrixD& b, std::span<const float> bias, int64_t n_threads, Progress& progress) {
  const Task learned = make_task(chosen.rows, chosen.trees, b, bias, n_threads);
  const Task judged =
      make_task(validation.rows() > 0 ? validation : RowsF(chosen.rows), chosen.trees, b, bias, n_threads);
  const double gap = b.cols() > 1 ? mean_gap(learned.exact) : 0;
  ClassFit best{outputs, 0, 0};
  const bool fits_floats = learned.exact.allFinite() && judged.exact.allFinite();
  if (!fits_floats || !(gap > 1e-30)) return best;  // one class, or no winner anywhere

  Parameters start{MatrixF(outputs.entries.rows() + 1, b.cols()), outputs.n_leaves};
  Eigen::RowVectorXd mean = outputs.mean;
  for (size_t m = 0; m < bias.size(); ++m) mean[static_cast<int64_t>(m)] += bias[m];
  start.values << outputs.entries.cast<float>(), mean.cast<float>();
  const double size = std::sqrt(outputs.entries.squaredNorm() / static_cast<double>(outputs.entries.size()));

  const auto compared_at = static_cast<float>(1 / (kTemperatures[0] * gap));
  const MatrixF compared = probabilities(judged.exact, compared_at);
  Score most = score(start, judged, compared, compared_at);
  for (const double multiple : kTemperatures) {
    const auto inverse = static_cast<float>(1 / (multiple * gap));
    const MatrixF wanted = probabilities(learned.exact, inverse);
    Parameters parameters = start;
    Adam adam(parameters.values, static_cast<float>(kStepSize * size));
    for (int step = 1, checks_left = kPatience; step <= kMaxSteps && checks_left > 0; ++step) {
      adam.step(gradient(parameters, learned, wanted, inverse, n_threads), parameters.values);
      if (step % kStepsPerCheck != 0) continue;
      progress.poll();
      --checks_left;
      const Score reached = score(parameters, judged, compared, compared_at);
      if (!(reached > most)) continue;
      most = reached;
      checks_left = kPatience;
      const Eigen::RowVectorXd shift = parameters.values.bottomRows(1).cast<double>() - mean;
      best = {
          {outputs.mean + shift, parameters.values.topRows(outputs.entries.rows()).cast<double>(), outputs.n_leaves},
          multiple * gap,
          step};
    }
    progress.step();
  }
  return best;
}

}  // namespace mithral::train_internal
