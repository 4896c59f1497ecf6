#include "tests/support/listing.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "jit/emit.h"

namespace mithral::testing {
namespace {

std::vector<ListingLine> parse(const std::string& listing) {
  std::vector<ListingLine> result;
  std::istringstream lines(listing);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(";")) continue;
    std::istringstream fields(line);
    size_t offset = 0;
    std::string bytes, text;
    fields >> std::hex >> offset >> bytes >> std::ws;
    std::getline(fields, text);
    result.push_back({offset, bytes.size() / 2, text});
  }
  return result;
}

// "loop_10" -> the first instruction of its body, "end_10" -> the first one behind it.
std::map<std::string, size_t> loop_labels(const std::vector<ListingLine>& lines) {
  std::map<std::string, size_t> result;
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string& text = lines[i].text;
    const size_t next = lines[i].offset + lines[i].length;
    if (text.starts_with("jz end_")) {
      const bool padded = i + 1 < lines.size() && lines[i + 1].text == "(padding)";
      result["loop_" + text.substr(7)] = next + (padded ? lines[i + 1].length : 0);
    } else if (text.starts_with("jnz loop_")) {
      result["end_" + text.substr(9)] = next;
    }
  }
  return result;
}

std::vector<size_t> constant_offsets(const codegen::Program& program, const jit::MachineCode& code) {
  std::vector<size_t> result;
  size_t end = code.code_bytes;
  for (const codegen::Constant& constant : program.constants) {
    const auto alignment = static_cast<size_t>(constant.alignment);
    const size_t start = (end + alignment - 1) / alignment * alignment;
    end = start + constant.bytes.size();
    if (end > code.bytes.size() ||
        !std::equal(constant.bytes.begin(), constant.bytes.end(), code.bytes.begin() + static_cast<int64_t>(start))) {
      throw std::runtime_error("constant '" + constant.name + "' is not at offset " + std::to_string(start));
    }
    result.push_back(start);
  }
  return result;
}

}  // namespace

std::vector<ListingLine> resolved_listing(const codegen::Program& program) {
  static const std::regex kConstant(R"(rip\+const_(\d+)([+-]\d+)?)"), kLabel(R"((loop|end)_\d+$)");
  std::vector<ListingLine> lines = parse(jit::listing(program));
  const std::map<std::string, size_t> labels = loop_labels(lines);
  const std::vector<size_t> constants = constant_offsets(program, jit::emit(program));
  for (ListingLine& line : lines) {
    if (line.text.find('_') == std::string::npos) continue;  // neither: most lines, and regular expressions are slow
    std::smatch match;
    if (std::regex_search(line.text, match, kConstant)) {
      const int64_t disp = match[2].matched ? std::stoll(match[2]) : 0;
      const int64_t place = static_cast<int64_t>(constants.at(std::stoul(match[1]))) + disp;
      line.text = match.prefix().str() + "rip->" + std::to_string(place) + match.suffix().str();
    } else if (std::regex_search(line.text, match, kLabel)) {
      line.text = match.prefix().str() + "->" + std::to_string(labels.at(match[0]));
    }
  }
  return lines;
}

}  // namespace mithral::testing
