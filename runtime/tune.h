// Which of a model's candidate schedules is the fastest here: measured.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "codegen/model/activation.h"
#include "codegen/plan/candidates.h"

namespace mithral {

// What one call on made-up rows took, row-major in and out.
struct MeasuredCandidate {
  codegen::Candidate candidate;
  std::optional<double> row_seconds;  // the shortest of several calls; none: not among the few that were measured
};

struct Tuning {
  std::vector<MeasuredCandidate> candidates;  // in the order of list_candidates
  std::vector<codegen::RefusedCandidate> refused;
  size_t chosen;   // of candidates
  int64_t n_rows;  // of each call; 0: nothing was measured

  const codegen::Schedule& schedule() const { return candidates[chosen].candidate.schedule; }
};

// The candidates with the schedule as chosen by rule; nothing is run.
Tuning list_schedules(const Model& model, const Target& target);

// Times the few that are expected to be fastest, the one chosen by rule among them, in turn, on one thread, for at most
// about 0.1 s beside compiling them. It is replaced only by one that is clearly faster. Nothing is measured where the
// fewest rows and their outputs would take gigabytes. The CPU must run the target's ISA.
Tuning measure_schedules(const Model& model, const Target& target, Activation activation);

}  // namespace mithral
