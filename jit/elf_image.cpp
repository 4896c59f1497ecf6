#include "jit/elf_image.h"

#include <elf.h>

#include <cstring>

#include "jit/byte_writer.h"

namespace mithral::jit {
namespace {

enum Section : uint16_t { kNull, kText, kEhFrame, kSymbols, kStrings, kSectionCount };

// Text that headers and symbols refer to by offset.
class Strings {
 public:
  uint32_t add(const std::string& text) {
    const size_t offset = out_.size();
    out_.put_text(text);
    return static_cast<uint32_t>(offset);
  }
  std::vector<uint8_t> take() { return out_.take(); }

 private:
  ByteWriter out_ = [] {
    ByteWriter out;
    out.put_text("");  // offset 0 is the empty name
    return out;
  }();
};

Elf64_Ehdr file_header(size_t section_headers) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;  // addresses are final
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_shoff = section_headers;
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = kSectionCount;
  header.e_shstrndx = kStrings;
  return header;
}

std::vector<uint8_t> symbol_table(const EmittedCode& code, Strings& strings) {
  ByteWriter out;
  out.put(Elf64_Sym{});
  for (const EmittedRoutine& routine : code.routines) {
    Elf64_Sym symbol{};
    symbol.st_name = strings.add(routine.name);
    symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
    symbol.st_shndx = kText;
    symbol.st_value = address_of(code.code(routine).data());
    symbol.st_size = routine.code_bytes;
    out.put(symbol);
  }
  return out.take();
}

}  // namespace

std::vector<uint8_t> elf_image(const EmittedCode& code) {
  Strings strings;
  Elf64_Shdr headers[kSectionCount] = {};
  const auto header = [&](Section section, const char* name, uint32_t type) -> Elf64_Shdr& {
    headers[section].sh_name = strings.add(name);
    headers[section].sh_type = type;
    headers[section].sh_addralign = 8;
    return headers[section];
  };
  Elf64_Shdr& text = header(kText, ".text", SHT_NOBITS);
  text.sh_flags = SHF_ALLOC | SHF_EXECINSTR;
  text.sh_addr = address_of(code.memory.data());
  text.sh_size = code.unwind_offset;
  Elf64_Shdr& unwind = header(kEhFrame, ".eh_frame", SHT_PROGBITS);
  unwind.sh_flags = SHF_ALLOC;
  unwind.sh_addr = address_of(code.memory.data() + code.unwind_offset);
  Elf64_Shdr& symbols = header(kSymbols, ".symtab", SHT_SYMTAB);
  symbols.sh_link = kStrings;
  symbols.sh_info = 1;  // the first symbol that is not local
  symbols.sh_entsize = sizeof(Elf64_Sym);
  header(kStrings, ".strtab", SHT_STRTAB);

  ByteWriter out;
  out.put(file_header(0));
  const auto place = [&](Section section, std::span<const uint8_t> bytes) {
    out.pad_to_multiple(8);
    headers[section].sh_offset = out.size();
    headers[section].sh_size = bytes.size();
    out.put_bytes(bytes);
  };
  place(kEhFrame, code.memory.subspan(code.unwind_offset));
  place(kSymbols, symbol_table(code, strings));
  place(kStrings, strings.take());
  out.pad_to_multiple(8);
  out.patch(0, file_header(out.size()));
  for (const Elf64_Shdr& section : headers) out.put(section);
  return out.take();
}

}  // namespace mithral::jit
