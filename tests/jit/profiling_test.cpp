// The files that perf reads about emitted code, read back as it reads them.
#include <elf.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "codegen/lower.h"
#include "codegen/model/error.h"
#include "jit/compiled_routines.h"
#include "tests/support/compiled.h"

namespace mithral::jit {
namespace {

namespace fs = std::filesystem;
using testing::compile_on_threads;
using testing::field;
using testing::programs;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// A folder of its own for a test, and no map of this process in /tmp, before and after.
class ProfilerFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "mithral-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    fs::remove(map_);
  }
  void TearDown() override {
    fs::remove_all(folder_);
    fs::remove(map_);
  }

  fs::path dump(pid_t pid = getpid()) const { return folder_ / message("jit-", pid, ".dump"); }

  fs::path folder_;
  fs::path map_ = message("/tmp/perf-", getpid(), ".map");
};

std::string complaint(const Profiling& profiling) {
  try {
    const CompiledRoutines compiled(programs(), profiling);
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "accepted";
}

// ---- perf map

struct MapLine {
  uint64_t start, size;
  std::string name;
};

std::vector<MapLine> parse_map(const std::string& text) {
  std::vector<MapLine> result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    MapLine& parsed = result.emplace_back();
    char space = 0;
    std::istringstream fields(line);
    fields >> std::hex >> parsed.start >> parsed.size >> std::noskipws >> space;
    std::getline(fields, parsed.name);
    EXPECT_TRUE(fields && space == ' ') << line;
  }
  return result;
}

TEST_F(ProfilerFiles, MapNamesEveryRoutine) {
  std::ofstream(map_) << "10 20 another code generator's\n";
  const CompiledRoutines compiled(programs(), {.model = "C3 L4", .perf_map = true});
  const std::vector<MapLine> lines = parse_map(read_file(map_));
  ASSERT_EQ(lines.size(), 1u + programs().size());
  EXPECT_EQ(lines[0].name, "another code generator's");
  for (size_t i = 0; i < programs().size(); ++i) {
    const codegen::Program& program = programs()[i];
    const MapLine& line = lines[1 + i];
    EXPECT_EQ(line.name, message("mithral::", program.name, "[C3 L4 ", isa_name(program.target.isa), "]"));
    EXPECT_EQ(line.start, reinterpret_cast<uintptr_t>(compiled.function(i)));
    EXPECT_LE(line.start + line.size, address_of(compiled.bytes().data()) + compiled.bytes().size());
    const auto* last = reinterpret_cast<const uint8_t*>(line.start + line.size - 1);
    EXPECT_EQ(*last, 0xc3) << "a routine ends with ret";
  }
}

TEST_F(ProfilerFiles, MapIsWholeWhenThreadsCompile) {
  const int kernels = compile_on_threads({.model = "threads", .perf_map = true});
  EXPECT_EQ(parse_map(read_file(map_)).size(), static_cast<size_t>(kernels * programs().size()));
}

// ---- jitdump

// Reads a file field by field.
class Reader {
 public:
  explicit Reader(std::string bytes) : bytes_(std::move(bytes)) {}
  template <typename T>
  T get() {
    T value{};
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string take(size_t count) {
    if (count > bytes_.size() - at_) throw std::out_of_range("the file ends inside a record");
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  std::string text() {
    std::string result = bytes_.c_str() + at_;
    take(result.size() + 1);
    return result;
  }
  size_t at() const { return at_; }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  std::string bytes_;
  size_t at_ = 0;
};

struct LoadedCode {
  uint64_t time;
  uint32_t pid, tid;
  uint64_t address, code_address, index;
  std::string name, bytes;
  std::string eh_frame, eh_frame_header;
};

std::vector<LoadedCode> parse_jitdump(const std::string& bytes, pid_t pid) {
  Reader reader(bytes);
  EXPECT_EQ(reader.take(4), "DTiJ");
  EXPECT_EQ(reader.get<uint32_t>(), 1u) << "version";
  EXPECT_EQ(reader.get<uint32_t>(), 40u) << "size of the header";
  EXPECT_EQ(reader.get<uint32_t>(), static_cast<uint32_t>(EM_X86_64));
  reader.get<uint32_t>();
  EXPECT_EQ(reader.get<uint32_t>(), static_cast<uint32_t>(pid));
  uint64_t time = reader.get<uint64_t>();
  EXPECT_EQ(reader.get<uint64_t>(), 0u) << "flags";

  std::vector<LoadedCode> result;
  LoadedCode next{};
  while (!reader.at_end()) {
    const size_t start = reader.at();
    const auto id = reader.get<uint32_t>(), size = reader.get<uint32_t>();
    next.time = reader.get<uint64_t>();
    EXPECT_GE(next.time, time);
    time = next.time;
    if (id == 4) {  // unwinding info of the code to come
      const auto unwinding = reader.get<uint64_t>(), header = reader.get<uint64_t>();
      EXPECT_EQ(reader.get<uint64_t>(), unwinding) << "mapped bytes";
      next.eh_frame = reader.take(unwinding - header);
      next.eh_frame_header = reader.take(header);
      reader.take(size - (reader.at() - start));
      continue;
    }
    EXPECT_EQ(id, 0u) << "neither unwinding info nor code";
    next.pid = reader.get<uint32_t>();
    next.tid = reader.get<uint32_t>();
    next.address = reader.get<uint64_t>();
    next.code_address = reader.get<uint64_t>();
    const auto code_bytes = reader.get<uint64_t>();
    next.index = reader.get<uint64_t>();
    next.name = reader.text();
    next.bytes = reader.take(code_bytes);
    EXPECT_EQ(reader.at() - start, size);
    result.push_back(std::exchange(next, {}));
  }
  return result;
}

// Follows the index to the one FDE, and that back to the code, where perf puts them: the code at 0, the sections at the
// next multiple of 8.
void expect_unwinding_leads_to_code(const LoadedCode& code) {
  const auto frames = static_cast<int64_t>((code.bytes.size() + 7) / 8 * 8);
  const auto header = frames + static_cast<int64_t>(code.eh_frame.size());
  const std::string& index = code.eh_frame_header;
  ASSERT_EQ(index.size(), 20u);
  EXPECT_EQ(header + 4 + field<int32_t>(index, 4), frames);
  EXPECT_EQ(field<uint32_t>(index, 8), 1u) << "one FDE";
  EXPECT_EQ(header + field<int32_t>(index, 12), 0) << "start of the code";
  const int64_t fde = header + field<int32_t>(index, 16) - frames;
  ASSERT_TRUE(fde > 0 && fde + 16 < static_cast<int64_t>(code.eh_frame.size())) << fde;
  EXPECT_EQ(frames + fde + 8 + field<int32_t>(code.eh_frame, fde + 8), 0) << "start of the code";
  EXPECT_EQ(field<uint32_t>(code.eh_frame, fde + 12), code.bytes.size());
}

TEST_F(ProfilerFiles, DumpHoldsEveryRoutine) {
  const CompiledRoutines compiled(programs(), {.model = "C3 L4", .jitdump_folder = folder_});
  const std::vector<LoadedCode> loaded = parse_jitdump(read_file(dump()), getpid());
  ASSERT_EQ(loaded.size(), static_cast<size_t>(programs().size()));
  for (size_t i = 0; i < programs().size(); ++i) {
    const EmittedRoutine& routine = compiled.code().routines[i];
    const std::span<const uint8_t> code = compiled.code().code(routine);
    SCOPED_TRACE(routine.name);
    EXPECT_EQ(loaded[i].name, routine.name);
    EXPECT_EQ(loaded[i].bytes, std::string(code.begin(), code.end()));
    EXPECT_EQ(loaded[i].address, reinterpret_cast<uintptr_t>(compiled.function(i)));
    EXPECT_EQ(loaded[i].code_address, loaded[i].address);
    EXPECT_EQ(loaded[i].index, static_cast<uint64_t>(i));
    EXPECT_EQ(loaded[i].pid, static_cast<uint32_t>(getpid()));
    EXPECT_EQ(loaded[i].tid, static_cast<uint32_t>(getpid())) << "the first thread's number is the process's";
    expect_unwinding_leads_to_code(loaded[i]);
    const uint64_t end = (loaded[i].address + loaded[i].bytes.size() + 7) / 8 * 8 + loaded[i].eh_frame.size() +
                         loaded[i].eh_frame_header.size();
    if (i + 1 == programs().size()) break;
    EXPECT_LE(end, loaded[i + 1].address) << "perf would not find the unwinding information";
  }
}

TEST_F(ProfilerFiles, DumpIsMappedAsExecutable) {
  const CompiledRoutines compiled(programs(), {.jitdump_folder = folder_});
  std::istringstream maps(read_file("/proc/self/maps"));
  std::string found;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(dump().string()) != std::string::npos) found += line + "\n";
  }
  EXPECT_NE(found.find(" r-xp "), std::string::npos) << found;
}

TEST_F(ProfilerFiles, DumpIsWholeWhenThreadsCompile) {
  const int kernels = compile_on_threads({.model = "threads", .jitdump_folder = folder_});
  const std::vector<LoadedCode> loaded = parse_jitdump(read_file(dump()), getpid());
  ASSERT_EQ(loaded.size(), static_cast<size_t>(kernels * programs().size()));
  std::set<uint32_t> threads;
  for (size_t i = 0; i < loaded.size(); ++i) {
    EXPECT_EQ(loaded[i].index, i);
    threads.insert(loaded[i].tid);
  }
  EXPECT_EQ(threads.count(static_cast<uint32_t>(getpid())), 0u);
}

TEST_F(ProfilerFiles, ForkedChildWritesItsOwnDump) {
  const CompiledRoutines before(programs(), {.model = "parent", .jitdump_folder = folder_});
  const std::string parents = read_file(dump());
  const pid_t child = fork();
  if (child == 0) {
    const CompiledRoutines compiled(programs(), {.model = "child", .jitdump_folder = folder_});
    _exit(0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_EQ(read_file(dump()), parents);
  const std::vector<LoadedCode> loaded = parse_jitdump(read_file(dump(child)), child);
  ASSERT_EQ(loaded.size(), static_cast<size_t>(programs().size()));
  for (const LoadedCode& code : loaded) {
    EXPECT_NE(code.name.find("[child "), std::string::npos) << code.name;
    EXPECT_EQ(code.pid, static_cast<uint32_t>(child));
  }
}

// ---- what cannot be written

TEST_F(ProfilerFiles, FoldersThatCannotBeWrittenAreErrors) {
  EXPECT_EQ(complaint({.jitdump_folder = "/no/such/folder"}),
            message("MITHRAL_PERF: cannot open /no/such/folder/jit-", getpid(), ".dump: No such file or directory"));
  std::ofstream(folder_ / "file") << "no folder";
  EXPECT_EQ(
      complaint({.jitdump_folder = folder_ / "file"}),
      message("MITHRAL_PERF: cannot open ", (folder_ / "file").string(), "/jit-", getpid(), ".dump: Not a directory"));
}

TEST_F(ProfilerFiles, PipesAreNotWaitedFor) {
  ASSERT_EQ(mkfifo(dump().c_str(), 0600), 0);
  EXPECT_NE(complaint({.jitdump_folder = folder_}).find("no regular file"), std::string::npos);
}

// Where there is no more room: nothing of the kernel is told, and what comes later can be read.
TEST_F(ProfilerFiles, HalfARecordIsTakenBack) {
  const CompiledRoutines before(programs(), {.jitdump_folder = folder_});
  const std::string whole = read_file(dump());
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit tight{whole.size() + 100, limit.rlim_max};
  std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  const std::string text = complaint({.perf_map = true, .jitdump_folder = folder_});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  std::signal(SIGXFSZ, SIG_DFL);
  EXPECT_NE(text.find("cannot write"), std::string::npos) << text;
  EXPECT_EQ(read_file(dump()), whole);
  EXPECT_FALSE(fs::exists(map_)) << "names of a kernel that was refused";
  const CompiledRoutines after(programs(), {.jitdump_folder = folder_});
  EXPECT_EQ(parse_jitdump(read_file(dump()), getpid()).size(), static_cast<size_t>(2 * programs().size()));
}

TEST_F(ProfilerFiles, SymbolicLinksAreNotFollowed) {
  std::ofstream(folder_ / "precious") << "precious";
  fs::create_symlink(folder_ / "precious", map_);
  fs::create_symlink(folder_ / "precious", dump());
  const char* reason = ": Too many levels of symbolic links";
  EXPECT_EQ(complaint({.perf_map = true}), message("MITHRAL_PERF: cannot open ", map_.string(), reason));
  EXPECT_EQ(complaint({.jitdump_folder = folder_}), message("MITHRAL_PERF: cannot open ", dump().string(), reason));
  EXPECT_EQ(read_file(folder_ / "precious"), "precious");
}

}  // namespace
}  // namespace mithral::jit
