// How rows are staged: sizes only, which never change a result.
#pragma once

namespace mithral::codegen {

struct StageSchedule {
  // Vectors of linear dims, from the first on, that row-major rows are quantised from as they lie: these are not
  // staged.
  int64_t row_vectors = 0;
  int rows = 0;           // of row-major input that are copied into columns at a time, a multiple of the block
  int prefetch_rows = 0;  // how many rows ahead to prefetch; 0: none
};

}  // namespace mithral::codegen
