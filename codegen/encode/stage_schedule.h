// How rows are staged: sizes only, which never change a result.
#pragma once

namespace mithral::codegen {

struct StageSchedule {
  int rows = 0;           // of row-major input that are copied into columns at a time, a multiple of the block
  int prefetch_rows = 0;  // how many rows ahead to prefetch; 0: none
};

}  // namespace mithral::codegen
