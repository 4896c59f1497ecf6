#include "runtime/backend.h"

#include <iterator>

#include "codegen/model/error.h"

namespace mithral {
namespace {

constexpr const char* kBackendNames[] = {"jit", "generic", "interpreter"};

}  // namespace

const char* backend_name(Backend backend) { return kBackendNames[static_cast<size_t>(backend)]; }

Backend backend_from_name(const std::string& name) {
  std::string names;
  for (size_t i = 0; i < std::size(kBackendNames); ++i) {
    if (name == kBackendNames[i]) return static_cast<Backend>(i);
    names += (i == 0 ? "" : ", ") + std::string(kBackendNames[i]);
  }
  throw InvalidArgument(message("unknown backend '", name, "'; allowed: ", names));
}

}  // namespace mithral
