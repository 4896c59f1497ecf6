#include "runtime/options.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "codegen/model/error.h"

namespace mithral {
namespace {

int64_t parse_threads(const std::string& value) {
  int64_t threads = 0;
  const char* end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, threads);
  if (error != std::errc() || stop != end || threads < 1 || threads > kMaxThreads) {
    throw InvalidArgument(message("'", value, "'; allowed: 1 to ", kMaxThreads));
  }
  return threads;
}

std::string parse_folder(const std::string& value) {
  struct stat status {};
  if (stat(value.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) {
    throw InvalidArgument(message("'", value, "'; allowed: an existing folder"));
  }
  return value;
}

bool parse_switch(const std::string& value) {
  if (value == "0" || value == "1") return value == "1";
  throw InvalidArgument(message("'", value, "'; allowed: 0 or 1"));
}

// Words with commas between them; each is handed to `accept`, which says whether it knows it.
void parse_words(const std::string& value, const char* allowed, const std::function<bool(const std::string&)>& accept) {
  for (size_t begin = 0; begin <= value.size();) {
    const size_t end = std::min(value.find(',', begin), value.size());
    if (!accept(value.substr(begin, end - begin))) {
      throw InvalidArgument(message("'", value, "'; allowed: ", allowed));
    }
    begin = end + 1;
  }
}

}  // namespace

Options parse_options(const std::function<const char*(const char*)>& getenv) {
  const auto parse = [&getenv](const char* name, auto&& store) {
    const char* value = getenv(name);
    if (value == nullptr || *value == '\0') return;
    try {
      store(std::string(value));
    } catch (const InvalidArgument& error) {
      throw InvalidArgument(message("environment variable ", name, ": ", error.what()));
    }
  };
  Options result;
  parse("MITHRAL_ISA", [&](const std::string& value) { result.isa_cap = isa_from_name(value); });
  parse("MITHRAL_BACKEND", [&](const std::string& value) { result.backend = backend_from_name(value); });
  parse("MITHRAL_THREADS", [&](const std::string& value) { result.threads = parse_threads(value); });
  parse("MITHRAL_DUMP", [&](const std::string& value) { result.dump_folder = parse_folder(value); });
  parse("MITHRAL_CHECK", [&](const std::string& value) { result.check = parse_switch(value); });
  std::string jitdump_folder = ".";
  parse("JITDUMPDIR", [&](const std::string& value) { jitdump_folder = value; });  // checked by who opens the dump
  parse("MITHRAL_PERF", [&](const std::string& value) {
    parse_words(value, "map, jitdump, or map,jitdump", [&](const std::string& word) {
      if (word == "map") result.perf_map = true;
      if (word == "jitdump") result.jitdump_folder = jitdump_folder;
      return word == "map" || word == "jitdump";
    });
  });
  return result;
}

const Options& options() {
  static const Options parsed = parse_options([](const char* name) { return std::getenv(name); });
  return parsed;
}

}  // namespace mithral
