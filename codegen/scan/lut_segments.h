// Tables of more than 16 entries. A byte shuffle reaches 16, and gives 0 where bit 7 of the index is set; so a table is
// cut into segments of 16, every segment is looked up with an index of its own, and the results are added modulo 2^8.
//
//     index of segment s = code + 16 * (7 - s)        s < 7: at most 255;   s > 7: modulo 2^8
//
//     codes of segment   0        1        2       ...      7        8       ...      15
//     index, s = 0       112..127 128..                     224..    240..            255
//            s = 1       96..     112..127 128..            208..    224..            255
//            s = 7       0..15    16..     32..             112..127 128..            240..
//            s = 8       240..    0..      16..             96..     112..127         224..
//            s = 15      128..    144..                     240..    0..              112..127
//
// An index is below 128, and its low four bits are the code's, for the codes of segment s and of the seven in front of
// it. So a code of segment t adds up what segments t to t + 7 hold, and that is the entry T[t] if they hold
// differences: stored[t] - stored[t + 8] = T[t] - T[t + 1], hence
//
//     stored[s] = T[s] - T[s + 1] + T[s + 8] - T[s + 9]        modulo 2^8; 0 beyond the table
//
// One addition makes an index, and no segment has to tell its codes from those below it.
#pragma once

#include <cstdint>

#include "codegen/model/tables.h"

namespace mithral::codegen {

inline constexpr int kSegmentEntries = static_cast<int>(Tables::kLaidOutEntries);

// Segments of a table; the last one may be filled in part.
int lut_segments(int64_t n_entries);

// The segment that is looked up by the code itself: the last of up to eight, where all codes are below 128; else the
// eighth, whose index_bias is 0.
int plain_segment(int n_segments);

// The byte that is added to a code for its index into a segment: saturating in front of the plain segment, modulo 2^8
// behind it.
uint8_t index_bias(int segment);

// Entries in the order of the codes -> what segments hold, in place.
void store_differences(uint8_t* table, int n_segments);

}  // namespace mithral::codegen
