#include "runtime/dump.h"

#include <unistd.h>

#include <atomic>
#include <fstream>

#include "codegen/model/error.h"

namespace mithral {
namespace {

void write_file(const std::string& path, const char* data, size_t size) {
  std::ofstream file(path, std::ios::binary);
  file.write(data, static_cast<std::streamsize>(size));
  file.flush();
  if (!file) throw InvalidArgument(message("MITHRAL_DUMP: cannot write ", path));
}

}  // namespace

void dump_kernel(const std::string& folder, const Kernel& kernel, std::span<const uint8_t> code) {
  static std::atomic<int> count{0};
  const Model& model = kernel.model();
  const std::string path =
      message(folder, "/mithral-", getpid(), "-", count++, "-d", model.n_features(), "-m", model.n_outputs(), "-c",
              model.n_codebooks(), "-l", model.depth(), "-", isa_name(kernel.isa()));
  const std::string program = kernel.program(), listing = kernel.listing();
  write_file(path + ".program", program.data(), program.size());
  write_file(path + ".listing", listing.data(), listing.size());
  if (!code.empty()) write_file(path + ".bin", reinterpret_cast<const char*>(code.data()), code.size());
}

}  // namespace mithral
