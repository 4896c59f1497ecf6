// Runs the ahead-of-time kernels: a model's arrays, laid out for them.
#include <algorithm>
#include <limits>
#include <vector>

#include "codegen/encode/linear/steps.h"
#include "codegen/model/error.h"
#include "codegen/scan/lut_segments.h"
#include "runtime/host.h"
#include "runtime/runner.h"

namespace mithral {
namespace {

using codegen::LutGroups;
using codegen::RoutineKind;

// The choices for emitted code, but for sizes that the generic kernels have fixed: blocks that share a table, tiles,
// and that linear dims are taken for one output of one row at a time, from staged columns.
codegen::Schedule generic_schedule(const Model& model) {
  codegen::Schedule schedule = codegen::choose_schedule(model, host_target(Isa::kAvx2));
  schedule.scan.table_blocks = kGenericTableBlocks;
  schedule.accumulate.tile_outputs = kGenericRowTileOutputs;
  schedule.call.chunk_blocks = round_up(schedule.call.chunk_blocks, kGenericTableBlocks);
  schedule.stage.row_vectors = 0;
  schedule.scan.linear_outputs = schedule.accumulate.linear_rows = 1;
  ensure(schedule.codes.lanes == kGenericLanes, "the generic kernels have 8 lanes");
  ensure(schedule.codes.packing == codegen::CodeLayout::Packing::kFourRows, "the generic kernels have one layout");
  return schedule;
}

// The schedule's groups, large ones in equal parts, so that the kernels' loops have fixed counts; by size.
LutGroups fixed_size_groups(const LutGroups& groups) {
  LutGroups result;
  for (const std::vector<int>& group : groups) {
    const size_t n = divide_up(group.size(), kGenericGroupSize);
    for (size_t i = 0; i < n; ++i) {
      result.emplace_back(group.begin() + i * group.size() / n, group.begin() + (i + 1) * group.size() / n);
    }
  }
  std::stable_sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
  return result;
}

// Look-ups in several segments add codebook by codebook, in the order of the groups.
LutGroups lookup_groups(const LutGroups& groups, const Model& model) {
  if (codegen::lut_segments(model.n_entries()) == 1) return groups;
  LutGroups single;
  for (const std::vector<int>& group : groups) {
    for (const int codebook : group) single.push_back({codebook});
  }
  return single;
}

float least_output(Activation activation) {
  switch (activation) {
    case Activation::kNone: return -std::numeric_limits<float>::infinity();
    case Activation::kRelu: return 0;
  }
  throw InternalError("unknown activation");
}

// Trees as the kernels read them. Unlike emitted code they read every split column, whether or not a split can be
// reached. Linear dims are among the columns.
struct FlatTrees {
  FlatTrees(const HashTrees& trees, const LinearDims& linear) : columns(trees.split_dims()) {
    columns.insert(columns.end(), linear.dims().begin(), linear.dims().end());
    std::sort(columns.begin(), columns.end());
    columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
    for (int64_t c = 0; c < trees.n_codebooks(); ++c) {
      for (int64_t level = 0; level < trees.depth(); ++level) append(trees, c, level);
    }
  }

  void append(const HashTrees& trees, int64_t codebook, int64_t level) {
    const auto place = std::lower_bound(columns.begin(), columns.end(), trees.split_dim(codebook, level));
    level_columns.push_back(static_cast<int32_t>(place - columns.begin()));
    const int64_t nodes = int64_t{1} << level, n_slots = std::max<int64_t>(nodes, kGenericSlots);
    std::vector<float> slots(n_slots);
    for (int64_t node = 0; node < nodes; ++node) {
      slots[(n_slots - node) % n_slots] = trees.threshold(codebook, level, node);
    }
    thresholds.insert(thresholds.end(), slots.begin(), slots.end());
  }

  std::vector<int32_t> columns, level_columns;
  std::vector<float> thresholds;
};

class GenericRunner : public Runner {
 public:
  GenericRunner(const GenericBuild& build, const Model& model, Activation activation)
      : build_(build),
        schedule_(generic_schedule(model)),
        groups_(fixed_size_groups(schedule_.groups)),
        lookup_(codegen::LookupTables::segments(codegen::table_shape(model.tables(), model.linear()),
                                                lookup_groups(groups_, model), build.tables_hold_differences)),
        rows_(codegen::table_shape(model.tables(), model.linear()), kGenericRowTileOutputs, kGenericLanes) {
    static_assert(HashTrees::kMaxDepth == kGenericMaxDepth, "the generic kernels take every model");
    static_assert(codegen::kSegmentEntries == kGenericSegmentEntries, "tables have one layout");
    static_assert(LinearDims::kMaxQuantised == kGenericMaxQuantised, "linear dims have one range");
    set_tables(model, activation);
    std::visit([&](const auto& encoder) { set_encoder(encoder, model.linear()); }, model.encoder());
  }

  bool encodes(InputType type) const override { return type == InputType::kFloat32; }
  bool streams() const override { return false; }
  const std::vector<int32_t>& columns() const override { return columns_; }
  const std::vector<int32_t>& staged_columns() const override { return columns_; }
  const codegen::Schedule& schedule() const override { return schedule_; }
  const codegen::LookupTables& lookup_tables() const override { return lookup_; }
  const codegen::RowTables& row_tables() const override { return rows_; }

 private:
  void set_tables(const Model& model, Activation activation) {
    for (const std::vector<int>& group : groups_) {
      grouped_codebooks_.insert(grouped_codebooks_.end(), group.begin(), group.end());
      ++model_.n_groups[group.size() - 1];
    }
    model_.n_codebooks = model.n_codebooks();
    model_.n_entries = model.n_entries();
    model_.n_outputs = model.n_outputs();
    model_.tile_outputs = schedule_.scan.tile_outputs;
    model_.compared_outputs = schedule_.scan.compared_outputs;
    model_.n_segments = codegen::lut_segments(model.n_entries());
    model_.n_fours = schedule_.codes.n_fours();
    model_.zeros_offset = codegen::zeros_offset(schedule_.codes.n_linear) / kFloatBytes;
    model_.scale_of_entries = 1 << model.linear().shift();
    model_.block_bytes = schedule_.codes.block_bytes();
    model_.bytes_of_codebooks = lookup_.bytes_of_codebooks();
    model_.bytes_of_output = lookup_.bytes_of_output();
    model_.grouped_codebooks = grouped_codebooks_.data();
    model_.least = least_output(activation);
  }

  void set_encoder(const HashTrees& trees, const LinearDims& linear) {
    FlatTrees flat(trees, linear);
    columns_ = std::move(flat.columns);
    level_columns_ = std::move(flat.level_columns);
    thresholds_ = std::move(flat.thresholds);
    model_.depth = trees.depth();
    model_.n_columns = static_cast<int64_t>(columns_.size());
    model_.staged_rows = schedule_.stage.rows;
    model_.columns = columns_.data();
    model_.level_columns = level_columns_.data();
    model_.thresholds = thresholds_.data();
  }
  void set_encoder(const GivenCodes&, const LinearDims&) {}

  void run_routine(const codegen::RoutineId& id, const int64_t* arguments) const override {
    routine(id)(model_, arguments);
  }

  GenericRoutine routine(const codegen::RoutineId& id) const {
    switch (id.kind) {
      case RoutineKind::kStageRows: return build_.stage_rows;
      case RoutineKind::kEncode:
        ensure(encodes(id.type), "rows of this type are staged as float32");
        return build_.encode;
      case RoutineKind::kQuantise:
        ensure(encodes(id.type), "rows of this type are staged as float32");
        return build_.quantise;
      case RoutineKind::kScanToRows: return build_.scan_to_rows;
      case RoutineKind::kScanToColumns: return build_.scan_to_columns;
      case RoutineKind::kSumsToRows: return build_.sums_to_rows;
      case RoutineKind::kSumsToColumns: return build_.sums_to_columns;
      case RoutineKind::kRangeToColumns: return build_.range_to_columns;
      case RoutineKind::kArgmax: return build_.argmax;
      case RoutineKind::kAccumulateRows: return build_.accumulate_rows;
      case RoutineKind::kAccumulateSums: return build_.accumulate_sums;
      case RoutineKind::kQuantiseRows:
      case RoutineKind::kStreamToColumns:
      case RoutineKind::kStreamToRows: break;
    }
    throw InternalError("there is no such generic routine");
  }

  const GenericBuild& build_;
  codegen::Schedule schedule_;
  LutGroups groups_;
  codegen::LookupTables lookup_;
  codegen::RowTables rows_;
  std::vector<int32_t> columns_, level_columns_, grouped_codebooks_;
  std::vector<float> thresholds_;
  GenericModel model_{};
};

}  // namespace

std::unique_ptr<const Runner> make_generic_runner(const GenericBuild& build, const Model& model,
                                                  Activation activation) {
  return std::make_unique<GenericRunner>(build, model, activation);
}

}  // namespace mithral
