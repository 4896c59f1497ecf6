#include "runtime/dump.h"

#include <unistd.h>

#include <atomic>
#include <fstream>

#include "codegen/model/error.h"
#include "jit/emit.h"

namespace mithral {
namespace {

void write_file(const std::string& path, const char* data, size_t size) {
  std::ofstream file(path, std::ios::binary);
  file.write(data, static_cast<std::streamsize>(size));
  file.flush();
  if (!file) throw InvalidArgument(message("MITHRAL_DUMP: cannot write ", path));
}

}  // namespace

void dump_kernel(const std::string& folder, const Kernel& kernel, const Executable& executable) {
  static std::atomic<int> count{0};
  const Model& model = kernel.model();
  const std::string path =
      message(folder, "/mithral-", getpid(), "-", count++, "-d", model.n_features(), "-m", model.n_outputs(), "-c",
              model.n_codebooks(), "-k", model.n_entries(), "-", isa_name(kernel.isa()));
  const std::string program = kernel.program(), listing = kernel.listing();
  write_file(path + ".program", program.data(), program.size());
  write_file(path + ".listing", listing.data(), listing.size());
  if (kernel.backend() != Backend::kJit) return;
  std::vector<uint8_t> code;
  for (const Executable* of = &executable; of != nullptr; of = of->latents.get()) {
    for (const codegen::Program& routine : codegen::lower_routines(of->lowered)) {
      const std::vector<uint8_t> bytes = jit::emit(routine).bytes;
      code.insert(code.end(), bytes.begin(), bytes.end());
    }
  }
  write_file(path + ".bin", reinterpret_cast<const char*>(code.data()), code.size());
}

}  // namespace mithral
