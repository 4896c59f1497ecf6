#include "runtime/routines.h"

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>
#include <vector>

#include "codegen/model/error.h"
#include "codegen/model/multiples.h"
#include "codegen/program/interpret.h"
#include "codegen/scan/lut_segments.h"
#include "codegen/scan/row_tables.h"
#include "jit/compiled_routines.h"
#include "runtime/host.h"
#include "runtime/on_first_use.h"
#include "runtime/options.h"
#include "runtime/scratch.h"

namespace mithral {
namespace {

jit::Profiling profiling(const Model& model) {
  return {.model =
              message("C", model.n_codebooks(), " L", model.depth(), " D", model.n_features(), " M", model.n_outputs()),
          .perf_map = options().perf_map,
          .jitdump_folder = options().jitdump_folder};
}

class JitRoutines : public Routines {
 public:
  JitRoutines(const Model& model, const codegen::LoweredModel& lowered)
      : model_(model), lowered_(lowered), first_(lowered.programs, profiling(model)) {}

  void run(codegen::Routine routine, const int64_t* args) const override {
    const auto index = static_cast<size_t>(routine);
    if (index < codegen::kFirstRoutines) return first_.function(index)(args);
    later_[index - codegen::kFirstRoutines].get([&] { return compile_later(routine); }).function(0)(args);
  }
  const std::vector<int32_t>& columns() const override { return lowered_.columns(); }
  const codegen::Schedule& schedule() const override { return lowered_.schedule; }
  std::span<const uint8_t> code() const override { return first_.bytes(); }
  int64_t code_size() const override {
    size_t bytes = first_.bytes().size();
    for (const auto& routine : later_) {
      if (const jit::CompiledRoutines* made = routine.if_made()) bytes += made->bytes().size();
    }
    return static_cast<int64_t>(bytes);
  }

 private:
  std::unique_ptr<const jit::CompiledRoutines> compile_later(codegen::Routine routine) const {
    const codegen::Program program = codegen::lower_routine(routine, model_, lowered_);
    return std::make_unique<const jit::CompiledRoutines>(std::span(&program, 1), profiling(model_));
  }

  const Model& model_;
  const codegen::LoweredModel& lowered_;
  jit::CompiledRoutines first_;
  mutable std::array<OnFirstUse<jit::CompiledRoutines>, codegen::kRoutineCount - codegen::kFirstRoutines> later_;
};

class InterpreterRoutines : public Routines {
 public:
  InterpreterRoutines(const Model& model, const codegen::LoweredModel& lowered) : model_(model), lowered_(lowered) {}

  void run(codegen::Routine routine, const int64_t* args) const override {
    const auto index = static_cast<size_t>(routine);
    const auto make = [&] {
      return std::make_unique<const codegen::Interpreter>(index < codegen::kFirstRoutines
                                                              ? lowered_.programs[index]
                                                              : codegen::lower_routine(routine, model_, lowered_));
    };
    interpreters_[index].get(make).run(args);
  }
  const std::vector<int32_t>& columns() const override { return lowered_.columns(); }
  const codegen::Schedule& schedule() const override { return lowered_.schedule; }

 private:
  const Model& model_;
  const codegen::LoweredModel& lowered_;
  mutable std::array<OnFirstUse<codegen::Interpreter>, codegen::kRoutineCount> interpreters_;
};

// The choices for emitted code, but for the height of tiles, which the generic kernels have fixed.
codegen::Schedule generic_schedule(const Model& model) {
  codegen::Schedule schedule = codegen::choose_schedule(model, host_target(Isa::kAvx2));
  schedule.tall_tile = kGenericTallTile;
  schedule.chunk_blocks = round_up(schedule.chunk_blocks, kGenericTallTile);
  return schedule;
}

float least_output(Activation activation) {
  switch (activation) {
    case Activation::kNone: return -std::numeric_limits<float>::infinity();
    case Activation::kRelu: return 0;
  }
  throw InternalError("unknown activation");
}

// The model's arrays, laid out for the generic kernels.
class AheadOfTimeRoutines : public Routines {
 public:
  AheadOfTimeRoutines(const GenericRoutines& build, const Model& model, Activation activation)
      : model_(model),
        columns_(model.arrays().split_dims),
        schedule_(generic_schedule(model)),
        scale_(model.arrays().scale),
        offset_(model.arrays().offset),
        routines_(build) {
    ensure(schedule_.codes.lanes == kGenericLanes, "the generic kernels have 8 lanes");
    ensure(schedule_.codes.packing == codegen::CodeLayout::Packing::kFourRows, "the generic kernels have one layout");
    static_assert(Model::kMaxDepth == kGenericMaxDepth, "the generic kernels take every model");
    static_assert(std::extent_v<decltype(GenericRoutines::routines)> == static_cast<int>(codegen::Routine::kEncodeInt8),
                  "every routine but the encoders of other types has a generic one");
    ensure(schedule_.row_tile_outputs == kGenericRowTileOutputs, "the generic kernels have one width of tiles");
    static_assert(codegen::kSegmentEntries == kGenericSegmentEntries, "tables have one layout");
    // Unlike emitted code it reads every split column, whether or not a split can be reached.
    std::sort(columns_.begin(), columns_.end());
    columns_.erase(std::unique(columns_.begin(), columns_.end()), columns_.end());
    lay_out_trees();
    const codegen::LutGroups groups = fixed_size_groups();
    for (const std::vector<int>& group : groups) {
      grouped_codebooks_.insert(grouped_codebooks_.end(), group.begin(), group.end());
    }
    lay_out_tables();
    pad_scales();
    generic_ = {.depth = model.depth(),
                .n_codebooks = model.n_codebooks(),
                .n_outputs = model.n_outputs(),
                .n_columns = static_cast<int64_t>(columns_.size()),
                .staged_rows = schedule_.staged_rows,
                .tile_outputs = schedule_.tile_outputs,
                .compared_outputs = schedule_.compared_outputs,
                .n_segments = codegen::lut_segments(model.n_leaves()),
                .n_groups = {},
                .columns = columns_.data(),
                .level_columns = level_columns_.data(),
                .thresholds = thresholds_.data(),
                .grouped_codebooks = grouped_codebooks_.data(),
                .tables = tables_.data(),
                .tables_by_leaf = nullptr,
                .scale = scale_.data(),
                .offset = offset_.data(),
                .least = least_output(activation)};
    for (const std::vector<int>& group : groups) ++generic_.n_groups[group.size() - 1];
  }

  void run(codegen::Routine routine, const int64_t* args) const override {
    const bool by_leaf = routine == codegen::Routine::kAccumulate || routine == codegen::Routine::kAccumulateSums;
    const GenericModel& model = by_leaf ? by_leaf_.get([&] { return lay_out_by_leaf(); }).model : generic_;
    const auto index = static_cast<size_t>(routine);
    ensure(index < std::size(routines_.routines), "there is no such generic routine");
    routines_.routines[index](model, args);
  }
  bool encodes(InputType type) const override { return type == InputType::kFloat32; }
  bool streams() const override { return false; }
  const std::vector<int32_t>& columns() const override { return columns_; }
  const codegen::Schedule& schedule() const override { return schedule_; }

 private:
  void lay_out_trees() {
    for (int64_t c = 0; c < model_.n_codebooks(); ++c) {
      for (int64_t level = 0; level < model_.depth(); ++level) {
        const auto place = std::lower_bound(columns_.begin(), columns_.end(), model_.split_dim(c, level));
        level_columns_.push_back(static_cast<int32_t>(place - columns_.begin()));
        const int64_t nodes = int64_t{1} << level, n_slots = std::max<int64_t>(nodes, kGenericSlots);
        std::vector<float> slots(n_slots);
        for (int64_t node = 0; node < nodes; ++node) {
          slots[(n_slots - node) % n_slots] = model_.threshold(c, level, node);
        }
        thresholds_.insert(thresholds_.end(), slots.begin(), slots.end());
      }
    }
  }

  // The schedule's, large ones in equal parts, so that the kernels' loops have fixed counts; by size.
  codegen::LutGroups fixed_size_groups() const {
    codegen::LutGroups result;
    for (const std::vector<int>& group : schedule_.lut_groups) {
      const size_t n = divide_up(group.size(), kGenericGroupSize);
      for (size_t i = 0; i < n; ++i) {
        result.emplace_back(group.begin() + i * group.size() / n, group.begin() + (i + 1) * group.size() / n);
      }
    }
    std::stable_sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.size() < b.size(); });
    return result;
  }

  void lay_out_tables() {
    tables_.resize(Model::table_bytes(model_.n_codebooks(), model_.n_outputs(), model_.depth()));
    const int n_segments = codegen::lut_segments(model_.n_leaves());
    uint8_t* table = tables_.data();
    for (int64_t m = 0; m < model_.n_outputs(); ++m) {
      for (const int32_t c : grouped_codebooks_) {
        for (int64_t leaf = 0; leaf < model_.n_leaves(); ++leaf) table[leaf] = model_.lut(c, leaf, m);
        if (routines_.tables_hold_differences) codegen::store_differences(table, n_segments);
        table += n_segments * codegen::kSegmentEntries;
      }
    }
  }

  // What adds up rows reads whole vectors.
  void pad_scales() {
    scale_.resize(model_.n_outputs() + kGenericRowTileOutputs);
    offset_.resize(model_.n_outputs() + kGenericRowTileOutputs);
  }

  // As large as the other tables, so made only for calls that read them.
  struct ByLeaf {
    Scratch<uint8_t> tables;  // rows of them start a cache line
    GenericModel model;
  };
  std::unique_ptr<const ByLeaf> lay_out_by_leaf() const {
    const codegen::RowTables leaves(model_, kGenericRowTileOutputs, kGenericLanes);
    auto result = std::make_unique<ByLeaf>(ByLeaf{.tables = {}, .model = generic_});
    uint8_t* tables = result->tables.at_least(leaves.bytes());
    leaves.store(tables);
    result->model.tables_by_leaf = tables;
    return result;
  }

  Model model_;
  std::vector<int32_t> columns_;
  codegen::Schedule schedule_;
  std::vector<int32_t> level_columns_;
  std::vector<float> thresholds_;
  std::vector<int32_t> grouped_codebooks_;
  std::vector<uint8_t> tables_;
  std::vector<float> scale_, offset_;
  GenericRoutines routines_;
  GenericModel generic_{};
  mutable OnFirstUse<ByLeaf> by_leaf_;
};

}  // namespace

std::unique_ptr<const Routines> make_routines(Backend backend, const Model& model,
                                              const codegen::LoweredModel& lowered) {
  switch (backend) {
    case Backend::kJit: return std::make_unique<JitRoutines>(model, lowered);
    case Backend::kGeneric: {
      const bool avx2 = runs_wherever(Isa::kAvx2, lowered.target.isa) && host_runs(Isa::kAvx2);
      return make_generic_routines(avx2 ? kGenericAvx2 : kGenericBaseline, model, lowered.activation);
    }
    case Backend::kInterpreter: return std::make_unique<InterpreterRoutines>(model, lowered);
  }
  throw InternalError("unknown backend");
}

std::unique_ptr<const Routines> make_generic_routines(const GenericRoutines& build, const Model& model,
                                                      Activation activation) {
  return std::make_unique<AheadOfTimeRoutines>(build, model, activation);
}

}  // namespace mithral
