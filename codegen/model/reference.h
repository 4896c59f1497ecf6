// The contract of the model's parts as plain loops: the oracle that every program, backend and schedule is compared
// with. It sees no program and no schedule.
#pragma once

#include "codegen/model/matrix_view.h"
#include "codegen/model/model.h"

namespace mithral {

// codes (N, C) of the rows x (N, D), any strides. Throws InvalidArgument when a shape does not fit the encoder, or the
// encoder reads no rows (GivenCodes).
void reference_codes(const Encoder& encoder, MatrixView<const float> x, MatrixView<uint8_t> codes);

// sums (N, M) of the entries that codes (N, C) select. Throws InvalidArgument when a shape does not fit the tables, or
// a code is K or more.
void reference_sums(const Tables& tables, MatrixView<const uint8_t> codes, MatrixView<int32_t> sums);

// sums (N, M) of the linear dims of the rows x (N, D). Throws InvalidArgument when a shape does not fit.
void reference_linear_sums(const LinearDims& linear, MatrixView<const float> x, MatrixView<int32_t> sums);

// y (N, M), before any activation, for codes (N, C), of a model without linear dims. Throws as reference_sums.
void reference_outputs(const Tables& tables, MatrixView<const uint8_t> codes, MatrixView<float> y);

// sums, and y before any activation, (N, M), for the rows x (N, D): of all parts.
void reference_sums(const Model& model, MatrixView<const float> x, MatrixView<int32_t> sums);
void reference(const Model& model, MatrixView<const float> x, MatrixView<float> y);

// Throws InvalidArgument that names the first code (row by row) that is n_entries or more.
void check_codes(MatrixView<const uint8_t> codes, int64_t n_entries);

}  // namespace mithral
