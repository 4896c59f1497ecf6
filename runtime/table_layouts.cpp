#include "runtime/table_layouts.h"

#include <numeric>

#include "codegen/encode/linear/steps.h"
#include "codegen/scan/scales.h"

namespace mithral {
namespace {

// An array of `count`, filled by `fill(data)` when it is first asked for.
template <typename T, typename Fill>
const T* filled(OnFirstUse<AlignedArray<T>>& made, int64_t count, Fill&& fill) {
  return made
      .get([&] {
        auto memory = std::make_unique<AlignedArray<T>>(count);
        fill(memory->data());
        return std::unique_ptr<const AlignedArray<T>>(std::move(memory));
      })
      .data();
}

template <typename T>
int64_t bytes_of(const OnFirstUse<AlignedArray<T>>& made) {
  const AlignedArray<T>* memory = made.if_made();
  return memory == nullptr ? 0 : memory->bytes();
}

}  // namespace

const uint8_t* LutLayouts::lookup() const {
  return filled(made_lookup_, lookup_.bytes(), [this](uint8_t* to) { lookup_.store(tables_, linear_, to); });
}

const uint8_t* LutLayouts::rows() const {
  return filled(made_rows_, row_tables_.bytes(), [this](uint8_t* to) { row_tables_.store(tables_, linear_, to); });
}

int64_t LutLayouts::bytes() const { return bytes_of(made_lookup_) + bytes_of(made_rows_); }

bool LutLayouts::are(const Model& model, const codegen::LookupTables& lookup, const codegen::RowTables& rows) const {
  return &tables_.lut() == &model.tables().lut() && linear_.shares_arrays_with(model.linear()) && lookup_ == lookup &&
         row_tables_ == rows;
}

const float* TableLayouts::scale_pairs(int64_t output) const {
  const auto fill = [this](float* to) { codegen::store_scale_pairs(tables_, to); };
  return filled(pairs_, codegen::scale_pair_floats(tables_), fill) + 2 * output;
}

const float* TableLayouts::scale_tiles(int64_t tile) const {
  const auto fill = [this](float* to) { codegen::store_scale_tiles(tables_, rows_, to); };
  return filled(tiles_, rows_.scale_floats(), fill) + rows_.scales_begin(tile);
}

const float* TableLayouts::steps() const {
  const auto fill = [this](float* to) { codegen::store_steps(linear_, to); };
  return filled(steps_, codegen::step_floats(linear_), fill);
}

const int32_t* TableLayouts::numbers() const {
  return filled(numbers_, tables_.n_outputs(), [this](int32_t* to) { std::iota(to, to + tables_.n_outputs(), 0); });
}

int64_t TableLayouts::bytes() const {
  return lut_->bytes() + bytes_of(pairs_) + bytes_of(tiles_) + bytes_of(steps_) + bytes_of(numbers_);
}

}  // namespace mithral
