#include "runtime/table_layouts.h"

#include <algorithm>
#include <numeric>

#include "codegen/scan/scales.h"

namespace mithral {
namespace {

// Memory of Layout::bytes(), filled by its store().
template <typename Layout>
const uint8_t* laid_out(OnFirstUse<AlignedArray<uint8_t>>& made, const Layout& layout, const Tables& tables) {
  return made
      .get([&] {
        auto memory = std::make_unique<AlignedArray<uint8_t>>(layout.bytes());
        layout.store(tables, memory->data());
        return std::unique_ptr<const AlignedArray<uint8_t>>(std::move(memory));
      })
      .data();
}

template <typename Make>
const float* copied(OnFirstUse<AlignedArray<float>>& made, Make&& make) {
  return made
      .get([&] {
        const std::vector<float> values = make();
        auto memory = std::make_unique<AlignedArray<float>>(static_cast<int64_t>(values.size()));
        std::copy(values.begin(), values.end(), memory->data());
        return std::unique_ptr<const AlignedArray<float>>(std::move(memory));
      })
      .data();
}

template <typename T>
int64_t bytes_of(const OnFirstUse<AlignedArray<T>>& made) {
  const AlignedArray<T>* memory = made.if_made();
  return memory == nullptr ? 0 : memory->bytes();
}

}  // namespace

const uint8_t* LutLayouts::lookup() const { return laid_out(made_lookup_, lookup_, tables_); }
const uint8_t* LutLayouts::rows() const { return laid_out(made_rows_, row_tables_, tables_); }
int64_t LutLayouts::bytes() const { return bytes_of(made_lookup_) + bytes_of(made_rows_); }

bool LutLayouts::are(const Tables& tables, const codegen::LookupTables& lookup, const codegen::RowTables& rows) const {
  return &tables_.lut() == &tables.lut() && lookup_ == lookup && row_tables_ == rows;
}

const float* TableLayouts::scale_pairs(int64_t output) const {
  return copied(pairs_, [this] { return codegen::scale_pairs(tables_); }) + 2 * output;
}

const float* TableLayouts::scale_tiles(int64_t tile) const {
  return copied(tiles_, [this] { return codegen::scale_tiles(tables_, rows_); }) + rows_.scales_begin(tile);
}

const int32_t* TableLayouts::numbers() const {
  return numbers_
      .get([this] {
        auto memory = std::make_unique<AlignedArray<int32_t>>(tables_.n_outputs());
        std::iota(memory->data(), memory->data() + tables_.n_outputs(), 0);
        return std::unique_ptr<const AlignedArray<int32_t>>(std::move(memory));
      })
      .data();
}

int64_t TableLayouts::bytes() const { return lut_->bytes() + bytes_of(pairs_) + bytes_of(tiles_) + bytes_of(numbers_); }

}  // namespace mithral
