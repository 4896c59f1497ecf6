// What a thread of an Executor works in.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/program/bytes.h"
#include "runtime/execute.h"
#include "runtime/scratch.h"
#include "runtime/top_k.h"

namespace mithral {

// Per thread, so that calls share nothing and take no lock.
struct Executor::Workspace {
  Scratch<uint8_t> codes_scratch;
  Scratch<uint8_t> rows_scratch;
  Scratch<float> staged_scratch;
  Scratch<float> tile_scratch;
  Scratch<float> lines_scratch;
  Scratch<float> block_scratch;
  Scratch<float> scores_scratch;
  Scratch<float> latents_scratch;
  Scratch<float> best_scratch;
  Scratch<int32_t> index_scratch;
  TopK top_k;
  // Bytes from the latents to each of them.
  std::vector<int64_t> latent_offsets;
  // Bytes from x to each used column, and to those of the linear dims, for column-major x; for row-major x, to the
  // first column of each vector of linear dims.
  std::vector<int64_t> column_offsets, linear_offsets, vector_offsets;

  uint8_t* codes = nullptr;  // one chunk (codegen/program/code_layout.h)
  float* latents = nullptr;  // of one chunk, column-major
  float* staged = nullptr;   // staged columns (codegen/program/code_layout.h)
  float* tile = nullptr;     // scratch of routines that compute some outputs at a time
};

}  // namespace mithral
