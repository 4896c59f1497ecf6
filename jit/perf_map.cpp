#include "jit/perf_map.h"

#include <unistd.h>

#include <sstream>

#include "codegen/model/error.h"
#include "jit/output_file.h"

namespace mithral::jit {

void append_to_perf_map(const EmittedCode& code) {
  std::ostringstream lines;
  lines << std::hex;
  for (const EmittedRoutine& routine : code.routines) {
    lines << address_of(code.code(routine).data()) << " " << routine.code_bytes << " " << routine.name << "\n";
  }
  const std::string text = lines.str();
  OutputFile(message("/tmp/perf-", getpid(), ".map"), 0)
      .append({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

}  // namespace mithral::jit
