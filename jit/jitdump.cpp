#include "jit/jitdump.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <map>

#include "codegen/model/error.h"
#include "codegen/model/multiples.h"
#include "jit/byte_writer.h"
#include "jit/output_file.h"
#include "jit/process_lock.h"
#include "jit/unwind_info.h"

namespace mithral::jit {
namespace {

enum class RecordId : uint32_t { kCodeLoad = 0, kUnwindingInfo = 4 };

// The clock of `perf record -k 1`.
uint64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

size_t unwinding_offset(const EmittedRoutine& routine) { return round_up(routine.code_bytes, kUnwindAlignment); }

// A routine's own, for the ELF file that perf makes of it, where the code is at 0.
struct UnwindingInfo {
  explicit UnwindingInfo(EmittedRoutine routine) {
    routine.offset = 0;
    frames = eh_frame({&routine, 1}, unwinding_offset(routine));
    header = eh_frame_header(routine, unwinding_offset(routine), frames.size());
  }
  size_t bytes() const { return frames.size() + header.size(); }

  std::vector<uint8_t> frames, header;
};

class JitDump {
 public:
  explicit JitDump(const std::string& path) : file_(path, O_TRUNC) {
    write_header();
    map_executable();
  }
  ~JitDump() { munmap(mark_, page()); }
  JitDump(const JitDump&) = delete;
  JitDump& operator=(const JitDump&) = delete;

  void append(const EmittedCode& code) {
    ByteWriter out;
    for (const EmittedRoutine& routine : code.routines) {
      put_unwinding_info(out, routine);  // of the code in the next record
      put_code_load(out, routine, code.code(routine));
    }
    file_.append(out.take());
  }

 private:
  static size_t page() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

  void write_header() {
    ByteWriter out;
    out.put(uint32_t{0x4a695444});  // "JiTD"
    out.put(uint32_t{1});           // version
    out.put(uint32_t{40});          // bytes of this header
    out.put(uint32_t{EM_X86_64});
    out.put(uint32_t{0});
    out.put(static_cast<uint32_t>(getpid()));
    out.put(now());
    out.put(uint64_t{0});  // flags
    file_.append(out.take());
  }

  // perf records maps of executable memory only, and knows by the name of this one that there is a dump.
  void map_executable() {
    mark_ = mmap(nullptr, page(), PROT_READ | PROT_EXEC, MAP_PRIVATE, file_.descriptor(), 0);
    if (mark_ == MAP_FAILED) file_.refuse("map as executable");
  }

  template <typename PutBody>
  static void put_record(ByteWriter& out, RecordId id, PutBody put_body) {
    const size_t start = out.size();
    out.put(id);
    out.put(uint32_t{0});  // bytes of the record
    out.put(now());
    put_body();
    out.patch(start + sizeof id, static_cast<uint32_t>(out.size() - start));
  }

  void put_code_load(ByteWriter& out, const EmittedRoutine& routine, std::span<const uint8_t> bytes) {
    put_record(out, RecordId::kCodeLoad, [&] {
      out.put(static_cast<uint32_t>(getpid()));
      out.put(static_cast<uint32_t>(syscall(SYS_gettid)));
      out.put(address_of(bytes.data()));  // where it runs
      out.put(address_of(bytes.data()));  // where its bytes are
      out.put(uint64_t{bytes.size()});
      out.put(next_index_++);
      out.put_text(routine.name);
      out.put_bytes(bytes);
    });
  }

  static void put_unwinding_info(ByteWriter& out, const EmittedRoutine& routine) {
    const UnwindingInfo info(routine);
    put_record(out, RecordId::kUnwindingInfo, [&] {
      out.put(uint64_t{info.bytes()});
      out.put(uint64_t{info.header.size()});
      out.put(uint64_t{info.bytes()});  // perf finds it in its maps only if it counts as mapped behind the code
      out.put_bytes(info.frames);
      out.put_bytes(info.header);
      out.pad_to_multiple(kUnwindAlignment);
    });
  }

  OutputFile file_;
  void* mark_ = nullptr;
  uint64_t next_index_ = 0;
};

}  // namespace

size_t extent_for_jitdump(const EmittedRoutine& routine) {
  return unwinding_offset(routine) + UnwindingInfo(routine).bytes();
}

void append_to_jitdump(const std::string& folder, const EmittedCode& code) {
  const std::lock_guard guard(process_lock());
  // Never destroyed: kernels may be compiled while the process exits. The path has the process's number in it, so a
  // forked child does not find its parent's file.
  static auto& files = *new std::map<std::string, JitDump>;
  const std::string path = message(folder, "/jit-", getpid(), ".dump");
  files.try_emplace(path, path).first->second.append(code);
}

}  // namespace mithral::jit
