// An encoder as lowering, cost model and texts see it, whatever its kind. A new kind is a class of its own
// in a folder beside trees/ and an overload in encoder_lowering.cpp: without them nothing compiles.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "codegen/model/input_view.h"
#include "codegen/model/model.h"
#include "codegen/program/code_layout.h"
#include "codegen/program/program.h"

namespace mithral::codegen {

// An encoder made ready to be lowered. Immutable.
class EncoderLowering {
 public:
  virtual ~EncoderLowering() = default;

  // Whether codes come from the caller: then there are no columns and no program.
  virtual bool is_given() const = 0;

  // The input columns that are read, ascending: what staged columns and offsets are about.
  virtual const std::vector<int32_t>& columns() const = 0;

  // Whether a program reads columns of this type as they are; columns of others are staged as float32.
  virtual bool reads(InputType type) const = 0;

  // Instructions per vector of W rows, for the cost model.
  virtual double instructions(const Target& target) const = 0;

  // Its name for people: "hash trees of depth 4".
  virtual std::string words() const = 0;

  // The routine kEncode: columns of a type that it reads -> codes.
  virtual Program lower(const CodeLayout& layout, const Target& target, InputType type) const = 0;
};

// The lowering of a model's encoder. Its columns are all that the model reads, those of its linear dims among them, so
// that rows are staged once.
std::unique_ptr<const EncoderLowering> encoder_lowering(const Model& model);

// The columns among these that are staged where linear dims from `first_dim` on are.
std::vector<int32_t> staged_columns(const Model& model, int64_t first_dim);

}  // namespace mithral::codegen
