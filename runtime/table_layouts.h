// The tables of a model as its routines read them, in memory beside the code: laid out when a call first needs them.
#pragma once

#include <cstdint>
#include <memory>

#include "codegen/model/model.h"
#include "codegen/scan/lookup_tables.h"
#include "codegen/scan/row_tables.h"
#include "runtime/aligned_array.h"
#include "runtime/on_first_use.h"

namespace mithral {

// The layouts of one LUT, which all kernels share that need the same ones. Thread-safe.
class LutLayouts {
 public:
  LutLayouts(const Model& model, codegen::LookupTables lookup, codegen::RowTables rows)
      : tables_(model.tables()), linear_(model.linear()), lookup_(std::move(lookup)), row_tables_(rows) {}

  const uint8_t* lookup() const;
  const uint8_t* rows() const;
  int64_t bytes() const;  // made so far

  bool are(const Model& model, const codegen::LookupTables& lookup, const codegen::RowTables& rows) const;

 private:
  Tables tables_;
  LinearDims linear_;
  codegen::LookupTables lookup_;
  codegen::RowTables row_tables_;
  mutable OnFirstUse<AlignedArray<uint8_t>> made_lookup_, made_rows_;
};

// All that routines of one kernel read beside their code. Thread-safe.
class TableLayouts {
 public:
  TableLayouts(const Model& model, const codegen::LookupTables& lookup, const codegen::RowTables& rows,
               std::shared_ptr<const LutLayouts> lut)
      : tables_(model.tables()), linear_(model.linear()), lookup_(lookup), rows_(rows), lut_(std::move(lut)) {}

  int64_t n_outputs() const { return tables_.n_outputs(); }
  const LinearDims& linear() const { return linear_; }

  // Of an output: the tables that look-ups read, its scale and offset (scan/scales.h).
  const uint8_t* lookup(int64_t output = 0) const { return lut_->lookup() + output * lookup_.bytes_of_output(); }
  const float* scale_pairs(int64_t output = 0) const;

  // Of a tile of outputs: the table rows that are added up, scales and offsets.
  const uint8_t* rows(int64_t tile) const { return lut_->rows() + rows_.tile_begin(tile); }
  const float* scale_tiles(int64_t tile) const;

  // Inverse steps and zeros of all linear dims (encode/linear/steps.h).
  const float* steps() const;

  // 0, 1, ... M - 1.
  const int32_t* numbers() const;

  int64_t bytes() const;  // made so far, those that are shared included

 private:
  Tables tables_;
  LinearDims linear_;
  codegen::LookupTables lookup_;
  codegen::RowTables rows_;
  std::shared_ptr<const LutLayouts> lut_;
  mutable OnFirstUse<AlignedArray<float>> pairs_, tiles_, steps_;
  mutable OnFirstUse<AlignedArray<int32_t>> numbers_;
};

}  // namespace mithral
