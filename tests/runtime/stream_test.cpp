// Outputs written past the caches, line by line: the same bytes as others, wherever they begin, and nothing beside them
// is touched.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <thread>

#include "runtime/executable.h"
#include "runtime/host.h"
#include "tests/support/random.h"

namespace mithral {
namespace {

using codegen::Schedule;

constexpr int64_t kLineFloats = 16;
constexpr float kUntouched = -7777.0f;

enum class Order { kRows, kColumns };

// Small chunks and tiles, so that outputs have several of both; `wide`: many outputs a tile.
Schedule streaming_schedule(const Model& model, const Target& target, bool wide) {
  Schedule schedule = codegen::choose_schedule(model, target);
  schedule.call.stream_bytes = 0;
  schedule.accumulate.min_outputs = 1;
  if (!wide) schedule.accumulate.tile_outputs = target.vector_bytes;
  schedule.accumulate.rows = 3 * target.lanes();
  schedule.call.chunk_blocks = (wide ? 4 : 1) * schedule.scan.table_blocks;
  return schedule;
}

class Case {
 public:
  Case(int64_t n_outputs, int64_t n_rows, Order order)
      : model_(testing::random_model(n_outputs, {12, n_outputs, 9, 4})), n_rows_(n_rows), order_(order) {
    std::mt19937_64 rng(n_rows);
    x_ = testing::random_input(rng, n_rows * model_.n_features());
  }

  // Streams to rows of a larger array that begins `phase` floats into a line.
  void run(const Target& target, Backend backend, int64_t phase, bool wide) const {
    const Executable streaming(model_, Activation::kNone, backend, target, streaming_schedule(model_, target, wide));
    expect_bytes(target, phase, [&](MatrixView<float> y) { streaming.executor.outputs(x(), y); });
  }

  // Many parts, by turns on two threads.
  void run_in_parts(const Target& target, int64_t phase) const {
    const Executable streaming(model_, Activation::kNone, Backend::kJit, target,
                               streaming_schedule(model_, target, true));
    const int64_t part_rows = 5 * streaming.lowered.schedule.codes.block_rows();
    expect_bytes(target, phase, [&](MatrixView<float> y) {
      const auto every_second = [&](int64_t first) {
        for (int64_t row = first * part_rows; row < n_rows_; row += 2 * part_rows) {
          const int64_t count = std::min(part_rows, n_rows_ - row);
          streaming.executor.outputs(x().row_range(row, count), y.row_range(row, count), n_rows_);
        }
      };
      std::thread other(every_second, 1);
      every_second(0);
      other.join();
    });
  }

 private:
  template <typename Write>
  void expect_bytes(const Target& target, int64_t phase, Write&& write) const {
    Schedule ordinary = codegen::choose_schedule(model_, target);
    ordinary.call.stream_bytes = std::numeric_limits<int64_t>::max();
    std::vector<float> expected(n_rows_ * model_.n_outputs());
    const auto plain = view(expected.data(), n_rows_);
    const Backend backend = host_runs(target.isa) ? Backend::kJit : Backend::kInterpreter;
    Executable(model_, Activation::kNone, backend, target, ordinary).executor.outputs(x(), plain);

    constexpr int64_t kAround = 24;  // rows before and after
    const int64_t all_rows = n_rows_ + 2 * kAround;
    std::vector<float> memory(all_rows * model_.n_outputs() + 2 * kLineFloats, kUntouched);
    const auto floats_in = reinterpret_cast<uintptr_t>(memory.data()) / sizeof(float) % kLineFloats;
    const auto all = view(memory.data() + (kLineFloats - floats_in + phase) % kLineFloats, all_rows);
    write(all.row_range(kAround, n_rows_));

    int64_t touched = 0;
    for (const float value : memory) touched += std::memcmp(&value, &kUntouched, 4) != 0;
    EXPECT_EQ(touched, n_rows_ * model_.n_outputs());
    for (int64_t row = 0; row < n_rows_; ++row) {
      for (int64_t m = 0; m < model_.n_outputs(); ++m) {
        ASSERT_EQ(std::memcmp(&all(kAround + row, m), &plain(row, m), 4), 0) << "row " << row << ", output " << m;
      }
    }
  }

  MatrixView<const float> x() const { return row_major(x_.data(), n_rows_, model_.n_features()); }

  MatrixView<float> view(float* data, int64_t rows) const {
    return order_ == Order::kRows ? row_major(data, rows, model_.n_outputs())
                                  : col_major(data, rows, model_.n_outputs());
  }

  Model model_;
  int64_t n_rows_;
  Order order_;
  std::vector<float> x_;
};

class StreamOfIsa : public ::testing::TestWithParam<Isa> {};
INSTANTIATE_TEST_SUITE_P(Isas, StreamOfIsa, ::testing::ValuesIn(all_isas()),
                         [](const auto& parameter) { return std::string(isa_name(parameter.param)); });

void expect_streams(Isa isa, Order order, const std::vector<int64_t>& n_outputs, const std::vector<int64_t>& n_rows) {
  const Target target = target_for(isa);
  for (const Backend backend : {Backend::kJit, Backend::kInterpreter}) {
    if (backend == Backend::kJit && !host_runs(isa)) continue;
    for (const int64_t outputs : n_outputs) {
      for (const int64_t rows : n_rows) {
        const Case c(outputs, rows, order);
        for (int64_t phase = 0; phase < kLineFloats; phase += backend == Backend::kJit ? 1 : 5) {
          SCOPED_TRACE(::testing::Message() << backend_name(backend) << ", " << outputs << " outputs, " << rows
                                            << " rows, " << phase << " floats into a line");
          c.run(target, backend, phase, phase % 2 == 0);
          if (::testing::Test::HasFailure()) return;
        }
      }
    }
  }
}

TEST_P(StreamOfIsa, RowsAreTheSameBytes) {
  expect_streams(GetParam(), Order::kRows, {1, 5, 15, 16, 33, 100, 128, 129, 320}, {1, 2, 70, 555});
}

TEST_P(StreamOfIsa, ColumnsAreTheSameBytes) {
  expect_streams(GetParam(), Order::kColumns, {1, 3, 10}, {16, 64, 144, 384, 560, 1040});  // columns in step with lines
  expect_streams(GetParam(), Order::kColumns, {1, 3, 10}, {1, 65, 555});                   // and others
}

// Threads write parts of one call beside each other: what they share of a line must be left alone by both.
TEST_P(StreamOfIsa, PartsBesideEachOtherAreWrittenAtOnce) {
  if (!host_runs(GetParam())) GTEST_SKIP() << "not on this CPU";
  constexpr int64_t kRows = 4096;
  for (const Order order : {Order::kRows, Order::kColumns}) {
    const Case c(100, kRows, order);
    for (int64_t phase = 0; phase < kLineFloats; phase += 3) c.run_in_parts(target_for(GetParam()), phase);
  }
}

}  // namespace
}  // namespace mithral
