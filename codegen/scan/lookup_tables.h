// How tables lie for routines that look up an output of many rows at once: the tables of an output together, output by
// output.
//
//     | output 0                                                          | output 1 ...
//     | a table per codebook, in an order of its own | weights, if any    | ...
//
// Weights are those of linear dims 0, 1, ... (S), a byte each, to a whole number of cache lines.
//
// kSegments, for byte shuffles, which reach 16 entries (lut_segments.h):
//
//     output:  | group 0                                                     | group 1 ...
//              | segment 0                                 | segment 1 ...   |
//              | 16 entries of its 1st codebook | 2nd | ...| ...             |
//
// what a group's look-ups of one segment need is together. A table of a single segment holds its entries, one of
// several the differences that lut_segments.h explains, or entries too where the reader wants them plain.
//
// kRegisters, for permutations of 64 or 128 bytes:   | group 0: 1st codebook, in 1, 2 or 4 registers | 2nd ... |
//
// kFourCodebooks, the same for codes in fours:       | codebooks 0..3, 16 entries each | codebooks 4..7 | ... |
#pragma once

#include <cstdint>

#include "codegen/program/code_layout.h"
#include "codegen/program/target.h"
#include "codegen/scan/lut_groups.h"
#include "codegen/scan/table_shape.h"

namespace mithral::codegen {

// Whether byte permutations look up tables of so many entries. Of four registers, a mask chooses between two and two.
bool fits_registers(int64_t n_entries, const Target& target);

class LookupTables {
 public:
  enum class Kind { kSegments, kRegisters, kFourCodebooks };

  // Tables for the target's kind of look-up.
  static LookupTables of(const TableShape& shape, const CodeLayout& codes, const LutGroups& groups,
                         const Target& target);

  // Tables of kSegments; of plain entries if they are no differences.
  static LookupTables segments(const TableShape& shape, const LutGroups& groups, bool differences);

  Kind kind() const { return kind_; }
  const LutGroups& groups() const { return groups_; }  // the order of an output's tables
  int64_t bytes_of_codebook() const { return bytes_of_codebook_; }
  int64_t bytes_of_codebooks() const;  // all of an output's
  int64_t bytes_of_output() const;
  int64_t bytes() const { return shape_.n_outputs * bytes_of_output(); }

  // Into zeroed memory of bytes(). `tables` and `linear` have the shape.
  void store(const Tables& tables, const LinearDims& linear, uint8_t* to) const;

  bool operator==(const LookupTables&) const = default;

 private:
  LookupTables(Kind kind, const TableShape& shape, LutGroups groups, int64_t bytes_of_codebook, bool differences);

  // Where a codebook's table is among its output's, and how many bytes lie from one 16 entries of it to the next.
  struct Place {
    int64_t begin, segment_bytes;
  };
  Place place_in_group(size_t group_size, size_t i) const;

  void store_entries(const Tables& tables, uint8_t* to) const;
  void store_outputs(const Tables& tables, int64_t first_output, int64_t n_outputs, uint8_t* to) const;

  Kind kind_;
  TableShape shape_;
  LutGroups groups_;
  int64_t bytes_of_codebook_;
  bool differences_;  // never of a single segment, whose entries they would be
};

}  // namespace mithral::codegen
