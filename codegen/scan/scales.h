// How scales and offsets lie beside the tables.
//
// For scans, output by output:             | scale 0 | offset 0 | scale 1 | offset 1 | ...
//
// For accumulation, tile by tile:          | scales of tile 0, to whole vectors of bytes | its offsets, the same | tile
// 1 ...
#pragma once

#include <vector>

#include "codegen/scan/row_tables.h"

namespace mithral::codegen {

std::vector<float> scale_pairs(const Tables& tables);
std::vector<float> scale_tiles(const Tables& tables, const RowTables& rows);

}  // namespace mithral::codegen
