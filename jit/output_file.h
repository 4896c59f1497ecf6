// A file that a profiler reads while or after this process writes it.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace mithral::jit {

class OutputFile {
 public:
  // Opens for reading and appending, `flags` (O_TRUNC) beside; makes the file when it is not there. Symbolic links are
  // refused: the names are known in advance and the folder may be anybody's. Throws InvalidArgument that says why not.
  OutputFile(std::string path, int flags);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  // In one piece, also when other processes or other writers in this one append to the file.
  void append(std::span<const uint8_t> bytes);

  // Throws InvalidArgument: "cannot WHAT PATH: " and the reason in errno.
  [[noreturn]] void refuse(const char* what) const;

  int descriptor() const { return descriptor_; }

 private:
  std::string path_;
  int descriptor_;
};

}  // namespace mithral::jit
