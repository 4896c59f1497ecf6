// Schedules that may be the fastest for a model, in the order of what the cost model expects of them. Which is, only
// measuring tells (runtime/tune.h): memory and front end are beyond a model of this size.
#pragma once

#include <string>
#include <vector>

#include "codegen/plan/schedule.h"

namespace mithral::codegen {

inline constexpr const char* kAsChosen = "as chosen";  // choose_schedule's

struct Candidate {
  std::string name;  // kAsChosen, or what it does otherwise
  Schedule schedule;
  double row_seconds;  // expected of a row, row-major in and out, float32
};

struct RefusedCandidate {
  std::string name;
  std::string reason;
};

struct Candidates {
  std::vector<Candidate> schedules;  // the fastest expected first; of equal ones, the one as chosen
  std::vector<RefusedCandidate> refused;
};

Candidates list_candidates(const Model& model, const Target& target);

// Seconds that a row is expected to take with a schedule, from and to memory: what the core computes, then what it
// moves, because a chunk is read, then computed.
double expected_row_seconds(const Model& model, const Schedule& schedule, const Target& target);

}  // namespace mithral::codegen
