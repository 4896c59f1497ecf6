// The trained artefact, in parts: an encoder turns a row into codes (encoder.h), tables turn codes into sums
// (tables.h), linear dims add to them (linear_dims.h), and one step in float32 ends it. What a kernel computes is
// defined by the headers of the parts and here:
//
//     row x ─┬─► Encoder ─► codes (C) ─► Tables ─► sums (M) ─► * 2^shift ─┬─► sums (M) ─► * scale + offset ─► y (M)
//            ├─► LinearDims ─► quantised (S) ───┬► * weights ─► sums (M) ──┘
//            └─► another model ─► latents (r) ──┘
//
// Either kind of part may be missing: C or S may be 0.
//
// Floating point follows IEEE 754 with round-to-nearest-even and with denormals kept, whatever the caller's MXCSR says.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>

#include "codegen/model/encoder.h"
#include "codegen/model/linear_dims.h"
#include "codegen/model/tables.h"

namespace mithral {

// Figures of a training run, measured on rows held out of it; empty for a model built from arrays. train.h names the
// keys.
using Report = std::map<std::string, double>;

// An immutable, validated model. Copies share the arrays of the parts.
class Model {
 public:
  // Throws BadModel where parts do not fit: another number of codebooks, of codes and entries, of features or outputs;
  // linear dims of a model whose codes come from the caller, who gives no features; no part at all.
  Model(Encoder encoder, Tables tables, Report report = {})
      : Model(std::move(encoder), std::move(tables), {}, std::move(report)) {}
  Model(Encoder encoder, Tables tables, LinearDims linear, Report report = {});

  const Encoder& encoder() const { return encoder_; }
  const Tables& tables() const { return tables_; }
  const LinearDims& linear() const { return linear_; }
  const Report& report() const { return report_; }

  int64_t n_features() const;  // D, the columns of the rows that the encoder reads; of given codes C
  int64_t n_codebooks() const { return tables_.n_codebooks(); }
  int64_t n_entries() const { return tables_.n_entries(); }
  int64_t n_outputs() const { return tables_.n_outputs(); }
  int64_t n_linear() const { return linear_.n_columns(); }
  int64_t n_latents() const { return linear_.n_latents(); }

  // Whether codes come from the caller: then there are no rows to encode.
  bool has_given_codes() const { return std::holds_alternative<GivenCodes>(encoder_); }

  bool has_trees() const { return std::holds_alternative<HashTrees>(encoder_); }
  const HashTrees& trees() const;  // throws InvalidArgument where there are none

  // Throws InvalidArgument where there are linear dims or latents: codes alone do not give the outputs.
  void check_codes_suffice() const;

  // The same model, with another report; with `bias` (M) added to its offset (tables.h).
  Model with_report(Report report) const { return {encoder_, tables_, linear_, std::move(report)}; }
  Model with_bias(std::span<const float> bias) const { return {encoder_, tables_.with_bias(bias), linear_, report_}; }

 private:
  Encoder encoder_;
  Tables tables_;
  LinearDims linear_;
  Report report_;
};

}  // namespace mithral
