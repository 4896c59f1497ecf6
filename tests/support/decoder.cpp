#include "tests/support/decoder.h"

#include <Zydis/Zydis.h>

#include <stdexcept>

namespace mithral::testing {
namespace {

std::string name(ZydisRegister r) { return ZydisRegisterGetString(r); }

std::string place(const char* before, uint64_t offset) { return std::string(before) + "->" + std::to_string(offset); }

// One instruction, in Intel syntax without the sizes of memory operands.
class Renderer {
 public:
  Renderer(const ZydisDecodedInstruction& instruction, size_t offset) : instruction_(instruction), offset_(offset) {}

  std::string run(std::span<const ZydisDecodedOperand> operands) const {
    std::string result = ZydisMnemonicGetString(instruction_.mnemonic);
    std::string separator = " ";
    for (const ZydisDecodedOperand& operand : operands) {
      if (operand.encoding == ZYDIS_OPERAND_ENCODING_MASK) continue;
      result += separator + text(operand);
      if (separator == " ") result += mask();
      separator = ", ";
    }
    return result + unusual();
  }

 private:
  std::string text(const ZydisDecodedOperand& operand) const {
    switch (operand.type) {
      case ZYDIS_OPERAND_TYPE_REGISTER: return reg(operand.reg.value);
      case ZYDIS_OPERAND_TYPE_MEMORY: return memory(operand);
      case ZYDIS_OPERAND_TYPE_IMMEDIATE: return immediate(operand);
      default: throw std::runtime_error("an operand of an unknown kind");
    }
  }

  // Writing an immediate to a low half clears the upper one: Xbyak writes the shorter `mov eax, 1` for `mov rax, 1`.
  bool clears_upper_half() const {
    return instruction_.mnemonic == ZYDIS_MNEMONIC_MOV && instruction_.operand_width == 32 &&
           instruction_.raw.imm[0].size != 0;
  }

  std::string reg(ZydisRegister r) const {
    if (!clears_upper_half()) return name(r);
    return name(ZydisRegisterEncode(ZYDIS_REGCLASS_GPR64, static_cast<ZyanU8>(ZydisRegisterGetId(r))));
  }

  std::string memory(const ZydisDecodedOperand& operand) const {
    const auto& mem = operand.mem;
    if (mem.base == ZYDIS_REGISTER_RIP) return "[" + place("rip", absolute(operand)) + "]";
    std::string result = name(mem.base);
    if (mem.index != ZYDIS_REGISTER_NONE) result += "+" + name(mem.index);
    if (mem.scale > 1) result += "*" + std::to_string(mem.scale);
    if (mem.disp.value > 0) result += "+";
    if (mem.disp.value != 0) result += std::to_string(mem.disp.value);
    return "[" + result + "]";
  }

  std::string immediate(const ZydisDecodedOperand& operand) const {
    if (operand.imm.is_relative) return place("", absolute(operand));
    if (clears_upper_half()) return std::to_string(static_cast<uint32_t>(operand.imm.value.u));
    return std::to_string(operand.imm.value.s);  // zero-extended where it has no sign
  }

  uint64_t absolute(const ZydisDecodedOperand& operand) const {
    ZyanU64 result = 0;
    if (ZYAN_FAILED(ZydisCalcAbsoluteAddress(&instruction_, &operand, offset_, &result))) {
      throw std::runtime_error("an operand without an address");
    }
    return result;
  }

  std::string mask() const {
    const auto& avx_mask = instruction_.avx.mask;
    if (avx_mask.reg == ZYDIS_REGISTER_NONE || avx_mask.reg == ZYDIS_REGISTER_K0) return {};
    const bool zeroes = avx_mask.mode == ZYDIS_MASK_MODE_ZEROING || avx_mask.mode == ZYDIS_MASK_MODE_CONTROL_ZEROING;
    return "{" + name(avx_mask.reg) + "}" + (zeroes ? "{z}" : "");
  }

  // What no listing has: it must not go unseen.
  std::string unusual() const {
    constexpr ZydisInstructionAttributes kPrefixes = ZYDIS_ATTRIB_HAS_LOCK | ZYDIS_ATTRIB_HAS_REP |
                                                     ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE |
                                                     ZYDIS_ATTRIB_HAS_SEGMENT | ZYDIS_ATTRIB_HAS_ADDRESSSIZE;
    std::string result;
    if ((instruction_.attributes & kPrefixes) != 0) result += " {prefix}";
    const auto& avx = instruction_.avx;
    if (avx.broadcast.mode != ZYDIS_BROADCAST_MODE_INVALID && !avx.broadcast.is_static) result += " {broadcast}";
    if (avx.rounding.mode != ZYDIS_ROUNDING_MODE_INVALID || avx.has_sae) result += " {rounding}";
    return result;
  }

  const ZydisDecodedInstruction& instruction_;
  size_t offset_;
};

// "AVX512BW_256" and "AVX512BW_KOP" are AVX512BW.
std::string isa_set(const ZydisDecodedInstruction& instruction) {
  std::string result = ZydisISASetGetString(instruction.meta.isa_set);
  if (result.starts_with("AVX512")) result.resize(result.rfind('_'));
  return result;
}

}  // namespace

std::vector<DecodedInstruction> decode(std::span<const uint8_t> code) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  std::vector<DecodedInstruction> result;
  for (size_t offset = 0; offset < code.size();) {
    ZydisDecodedInstruction instruction;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    const std::span<const uint8_t> rest = code.subspan(offset);
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, rest.data(), rest.size(), &instruction, operands))) {
      throw std::runtime_error("no instruction at offset " + std::to_string(offset));
    }
    const std::span<const ZydisDecodedOperand> visible(operands, instruction.operand_count_visible);
    result.push_back({offset, instruction.length, Renderer(instruction, offset).run(visible), isa_set(instruction)});
    offset += instruction.length;
  }
  return result;
}

}  // namespace mithral::testing
