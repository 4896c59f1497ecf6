// Codes -> the output with the largest value, for every row. A tile of outputs is in L1 when it is compared, so scores
// never get to memory.
#include <algorithm>
#include <bit>
#include <limits>

#include "codegen/program/sizes.h"
#include "codegen/scan/lower_scan.h"
#include "codegen/scan/scan_lowering.h"

namespace mithral::codegen {
namespace {

// Best value and its output so far are kept for every row from one tile of outputs to the next. Outputs rise, and only
// a larger value replaces a value, so the first maximum stays.
class Argmax : public ScanLowering {
 public:
  Argmax(const ScanPlan& plan, const Target& target, Epilogue epilogue)
      : ScanLowering(RoutineKind::kArgmax, plan, target, epilogue) {}

  Program run() {
    begin_maxima();
    point_to_first_output<Arg>();
    numbers_ = b_.arg(Arg::numbers);
    for_outputs(plan_.scan.compared_outputs, [&](int outputs) { lower_tile(outputs); });
    return b_.finish();
  }

 private:
  using Arg = ArgmaxArguments::Index;
  static constexpr int kVectorsAtOnce = 4;  // enough independent comparisons to hide their latency

  // The largest values of rows and their outputs, W rows a vector.
  struct Maxima {
    Preg best, index;
  };
  Maxima first_maxima() { return {b_.arg(Arg::best), b_.arg(Arg::index)}; }
  void advance(const Maxima& maxima, int64_t rows) {
    b_.advance(maxima.best, rows * kFloatBytes);
    b_.advance(maxima.index, rows * kFloatBytes);
  }
  int vectors_of(int blocks) const { return static_cast<int>(blocks * block_rows() / target_.lanes()); }

  // Minus infinity at output 0: right as it is where no output is larger.
  void begin_maxima() {
    const Vreg lowest = b_.broadcast_value("lowest", std::bit_cast<uint32_t>(-std::numeric_limits<float>::infinity()));
    const Vreg zero = b_.zero();
    const Maxima maxima = first_maxima();
    b_.repeat(b_.mul_imm(b_.arg(Arg::n_blocks), vectors_of(1)), [&] {
      b_.store(at(maxima.best), lowest);
      b_.store(at(maxima.index), zero);
      advance(maxima, target_.lanes());
    });
  }

  void lower_tile(int outputs) {
    const Preg codes = b_.arg(Arg::codes);
    const Maxima maxima = first_maxima();
    for_table_blocks(Arg::n_blocks, [&](int blocks) {
      fill_tile(codes, b_.arg(Arg::tile), blocks, outputs);
      for (int first = 0; first < vectors_of(blocks); first += kVectorsAtOnce) {
        compare(maxima, first, std::min(kVectorsAtOnce, vectors_of(blocks) - first), outputs);
      }
      b_.advance(codes, blocks * block_bytes());
      advance(maxima, blocks * block_rows());
    });
    advance_outputs(outputs);
    b_.advance(numbers_, int64_t{outputs} * kFloatBytes);
  }

  // `count` vectors of the tile's rows, from vector `first` on.
  void compare(const Maxima& maxima, int first, int count, int outputs) {
    const auto vector = [&](int i) { return int64_t{first + i} * target_.vector_bytes; };
    std::vector<Vreg> best, index;
    for (int i = 0; i < count; ++i) {
      best.push_back(b_.load(at(maxima.best, vector(i))));
      index.push_back(b_.load(at(maxima.index, vector(i))));
    }
    const Preg column = b_.arg(Arg::tile), number = b_.copy(numbers_);
    b_.repeat(b_.set(outputs), [&] {
      const Vreg output = b_.broadcast_32(at(number));
      for (int i = 0; i < count; ++i) keep_larger(best[i], index[i], at(column, vector(i)), output);
      b_.advance(column, tile_column_bytes());
      b_.advance(number, kFloatBytes);
    });
    for (int i = 0; i < count; ++i) {
      b_.store(at(maxima.best, vector(i)), best[i]);
      b_.store(at(maxima.index, vector(i)), index[i]);
    }
  }

  void keep_larger(Vreg best, Vreg index, Mem values, Vreg output) {
    if (target_.has(Feature::kMasks)) {
      b_.pick_less_to(index, index, best, output, values);
    } else {
      b_.blend_sign_to(index, index, output, b_.less_f32(best, values));
    }
    b_.max_f32_m_to(best, best, values);
  }

  Preg numbers_{};
};

}  // namespace

Program lower_argmax(const ScanPlan& plan, const Target& target, Epilogue epilogue) {
  return Argmax(plan, target, epilogue).run();
}

}  // namespace mithral::codegen
