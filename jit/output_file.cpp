#include "jit/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "codegen/model/error.h"

namespace mithral::jit {

OutputFile::OutputFile(std::string path, int flags)
    : path_(std::move(path)),
      descriptor_(
          open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0600)) {
  if (descriptor_ < 0) refuse("open");
  struct stat status {};
  if (fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode)) return;
  close(descriptor_);
  errno = EINVAL;  // a pipe that somebody put there would make us wait
  refuse("use what is no regular file as");
}

OutputFile::~OutputFile() { close(descriptor_); }

void OutputFile::append(std::span<const uint8_t> bytes) {
  const ssize_t written = write(descriptor_, bytes.data(), bytes.size());
  if (written == static_cast<ssize_t>(bytes.size())) return;
  const int reason = written < 0 ? errno : ENOSPC;
  struct stat status {};
  if (written > 0 && fstat(descriptor_, &status) == 0) {
    // Half a record would make all that follow it unreadable.
    static_cast<void>(ftruncate(descriptor_, status.st_size - written) == 0);
  }
  errno = reason;
  refuse("write");
}

void OutputFile::refuse(const char* what) const {
  throw InvalidArgument(message("MITHRAL_PERF: cannot ", what, " ", path_, ": ", std::strerror(errno)));
}

}  // namespace mithral::jit
