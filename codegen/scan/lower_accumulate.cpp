// Codes -> row-major outputs, a row at a time: the rows of a table that its codes select are added up, 4W bytes an
// instruction. No shuffle, no transposition, and any number of entries; but short rows leave most of a vector unused.
//
// row_tables.h says how the tables lie.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "codegen/model/multiples.h"
#include "codegen/program/program_builder.h"
#include "codegen/program/sizes.h"
#include "codegen/scan/first_lanes.h"
#include "codegen/scan/group_sums.h"
#include "codegen/scan/line_stream.h"
#include "codegen/scan/linear_sums.h"
#include "codegen/scan/lower_scan.h"

namespace mithral::codegen {
namespace {

// A routine that accumulates. `Index` names its arguments, those that all of them have.
template <typename Index>
class AccumulateLowering {
 protected:
  AccumulateLowering(RoutineKind kind, const ScanPlan& plan, const Target& target, Epilogue epilogue)
      : plan_(plan), target_(target), epilogue_(epilogue), b_({kind}, target), linear_(b_, plan) {}

  void point_to_first_tile() {
    tables_ = b_.arg(Index::tables);
    if (is_scaled(epilogue_)) scales_ = b_.arg(Index::scales);
  }

  // Runs `body(outputs)` over the tiles that arguments name.
  template <typename Body>
  void for_tiles(Body&& body) {
    const int rest = static_cast<int>(plan_.shape.n_outputs % tile_outputs());
    if (plan_.shape.n_outputs >= tile_outputs()) b_.repeat(b_.arg(Index::n_full), [&] { body(tile_outputs()); });
    if (rest > 0) b_.repeat(b_.arg(Index::n_rest), [&] { body(rest); });
  }

  // A row's codes and linear dims; the latter only where there are some.
  struct Input {
    Preg codes, dims;
  };

  // A tile of all rows, from `y` on: `write_row(write, row)` writes one, by `write(to)`, and
  // advances `row`. Then y is at the next tile.
  template <typename WriteRow>
  void accumulate_tile(Preg y, int outputs, WriteRow&& write_row) {
    const Input input = {b_.arg(Index::codes), has_linear() ? b_.arg(Index::linear) : kNoPreg};
    const Preg row = b_.copy(y);
    const auto n_rows_left = [&] { return b_.arg(Index::n_rows); };
    b_.repeat_by(plan_.accumulate.linear_rows, n_rows_left, [&](int n_rows) {
      if (n_rows == 1) {
        write_row([&](Preg to) { write_outputs(input, to, outputs); }, row);
      } else {
        const LinearSums::Sums sums = linear_sums(input, n_rows, outputs);
        for (const std::vector<Vreg>& of_row : sums) {
          write_row([&](Preg to) { write_vector(to, outputs, 0, of_row); }, row);
        }
      }
      b_.advance(input.codes, n_rows * CodeLayout::kBytesOfLane);
      if (has_linear()) b_.advance(input.dims, n_rows * CodeLayout::kBytesOfLane);
    });
    b_.advance(tables_, rows().bytes_of_tile(outputs));
    if (is_scaled(epilogue_)) b_.advance(scales_, 2 * rows().padded_outputs(outputs) * kFloatBytes);
    b_.advance(y, int64_t{outputs} * kFloatBytes);
  }

  // Sums of several rows, of a tile that is a vector of bytes, where there are no tables.
  LinearSums::Sums linear_sums(const Input& input, int n_rows, int outputs) {
    LinearSums::Sums sums(n_rows);
    for (std::vector<Vreg>& of_row : sums) {
      for (int first = 0; first < outputs; first += target_.lanes()) of_row.push_back(b_.zero());
    }
    linear_.add_to_outputs(sums, input.dims, at(tables_), rows().bytes_of_four(outputs));
    return sums;
  }

  void write_outputs(const Input& input, Preg y, int outputs) {
    GroupSums sums = add_up(input.codes, rows().n_vectors(outputs));
    for (int v = 0; v < rows().n_vectors(outputs); ++v) {
      std::vector<Vreg> lanes = sums.lanes(v);
      if (has_linear()) add_linear(lanes, input.dims, v, outputs);
      write_vector(y, outputs, v, lanes);
    }
  }

  bool has_linear() const { return !plan_.linear.empty(); }

  int tile_outputs() const { return plan_.accumulate.tile_outputs; }
  const RowTables& rows() const { return plan_.row_tables; }

  const ScanPlan& plan_;
  const Target& target_;
  Epilogue epilogue_;
  ProgramBuilder b_;

 private:
  // The sums of one row.
  GroupSums add_up(Preg codes, int vectors) {
    const int64_t entry_bytes = int64_t{vectors} * target_.vector_bytes;
    GroupSums total(b_, static_cast<int>(plan_.groups.size()));
    for (const std::vector<int>& group : plan_.groups) {
      std::vector<Vreg> sums;
      for (const int codebook : group) {
        const Preg code = b_.mul_imm(b_.load_u8(at(codes, plan_.codes.offset(0, codebook))), entry_bytes);
        const int64_t table = (codebook * plan_.shape.n_entries - plan_.codes.code_bias(codebook)) * entry_bytes;
        for (int v = 0; v < vectors; ++v) {
          const Mem entries = at(tables_, code, table + v * target_.vector_bytes);
          if (v == static_cast<int>(sums.size())) {
            sums.push_back(b_.load(entries));
          } else {
            sums[v] = b_.add_u8_m(sums[v], entries);
          }
        }
      }
      total.add(sums);
    }
    return total;
  }

  // Sums of one vector of bytes, W outputs a vector, as far as the tile goes.
  void add_linear(std::vector<Vreg>& sums, Preg dims, int vector, int outputs) {
    const int first = vector * rows().vector_outputs();
    sums.resize(std::min<size_t>(sums.size(), divide_up(outputs - first, target_.lanes())));
    const Mem weights = at(tables_, rows().bytes_of_codebooks(outputs) + first * CodeLayout::kBytesOfLane);
    LinearSums::Sums of_row = {sums};
    linear_.add_to_outputs(of_row, dims, weights, rows().bytes_of_four(outputs));
    sums = of_row[0];
  }

  // The outputs of one vector of bytes, as far as the tile goes.
  void write_vector(Preg y, int outputs, int vector, const std::vector<Vreg>& sums) {
    int first = vector * rows().vector_outputs();
    for (size_t i = 0; i < sums.size() && first < outputs; ++i, first += target_.lanes()) {
      store_first_lanes(b_, at(y, first * kFloatBytes), scaled(sums[i], first, outputs),
                        std::min(outputs - first, target_.lanes()));
    }
  }

  // The outputs of W sums of a tile, from its output `first` on.
  Vreg scaled(Vreg sums, int first, int outputs) {
    if (!is_scaled(epilogue_)) return sums;
    const int64_t scale = first * kFloatBytes, offset = scale + rows().padded_outputs(outputs) * kFloatBytes;
    const Vreg result = b_.add_f32_m(b_.mul_f32_m(b_.i32_to_f32(sums), at(scales_, scale)), at(scales_, offset));
    return activate(b_, epilogue_, result);
  }

  LinearSums linear_;
  Preg tables_{}, scales_{};
};

// Rows wherever they are.
class AccumulateRows : public AccumulateLowering<AccumulateArguments::Index> {
 public:
  AccumulateRows(RoutineKind kind, const ScanPlan& plan, const Target& target, Epilogue epilogue)
      : AccumulateLowering(kind, plan, target, epilogue) {}

  Program run() {
    point_to_first_tile();
    const Preg y = b_.arg(Arg::y);
    for_tiles([&](int outputs) {
      accumulate_tile(y, outputs, [&](const auto& write, Preg row) {
        write(row);
        b_.add_to(row, row, b_.arg(Arg::row_stride));
      });
    });
    return b_.finish();
  }

 private:
  using Arg = AccumulateArguments::Index;
};

// Contiguous rows past the caches. A tile of a row is a run of its own, which begins in the line that the row's last
// tile ended in. But a row's first tile begins in a line that the row before ends in, later: that one is kept. Rows of
// a single tile follow each other, so there a single line is passed on from row to row.
class StreamRows : public AccumulateLowering<StreamRowsArguments::Index> {
 public:
  StreamRows(const ScanPlan& plan, const Target& target, Epilogue epilogue)
      : AccumulateLowering(RoutineKind::kStreamToRows, plan, target, epilogue) {}

  Program run() {
    point_to_first_tile();
    const Preg y = b_.arg(Arg::y);
    if (!one_tile()) b_.repeat(b_.arg(Arg::n_first), [&] { stream_tile(y, tile_outputs(), true); });
    for_tiles([&](int outputs) { stream_tile(y, outputs, false); });
    return b_.finish();
  }

 private:
  using Arg = StreamRowsArguments::Index;

  bool one_tile() const { return plan_.accumulate.row_fits_tile(plan_.shape.n_outputs); }

  void stream_tile(Preg y, int outputs, bool keeps_first) {
    const Preg line = b_.arg(Arg::lines);
    accumulate_tile(y, outputs, [&](const auto& write, Preg row) {
      LineStream stream(b_, b_.arg(Arg::buffer), row, line);
      write(stream.values());
      const int64_t bytes = int64_t{outputs} * kFloatBytes;
      if (keeps_first) {
        stream.end_keeping_first(bytes, line, at(line, kLineBytes));
      } else {
        stream.end(bytes, line);
      }
      b_.advance(row, plan_.shape.n_outputs * kFloatBytes);
      if (!one_tile()) b_.advance(line, 2 * kLineBytes);
    });
  }
};

}  // namespace

Program lower_accumulate(RoutineKind kind, const ScanPlan& plan, const Target& target, Epilogue epilogue) {
  return AccumulateRows(kind, plan, target, epilogue).run();
}

Program lower_stream_to_rows(const ScanPlan& plan, const Target& target, Epilogue epilogue) {
  return StreamRows(plan, target, epilogue).run();
}

}  // namespace mithral::codegen
