"""What lies in the emulated machine's memory when it starts: parameters, page tables, kernel, program, stack, files.

0x100000   struct params (kernel/kernel.h)
0x101000   page tables for the way from the ROM into the kernel, which makes its own
0x10f000   end of the stack for that way
0x110000   kernel
0x400000   program, at its link address, then its stack
           what the parameters point to: segments, names, files
free_start nothing
"""

import os
import struct
import time
from pathlib import Path

BASE = 0x100000
PAGE_TABLES = 0x101000
BOOT_STACK = 0x10F000
PROGRAM = 0x400000
MIB = 1 << 20
STACK_SIZE = 8 * MIB
PAGE = 4096
BLOCK = 0x20000

READ, WRITE, EXECUTE = 1, 2, 4  # PROT_*


class ImageError(Exception):
    """The program, or what goes with it, does not fit the machine."""


class Elf:
    """A statically linked ELF file for x86-64, moved to PROGRAM when it is position-independent."""

    def __init__(self, path):
        self.data = Path(path).read_bytes()
        if self.data[:5] != b"\x7fELF\x02" or struct.unpack_from("<H", self.data, 18)[0] != 62:
            raise ImageError(f"{path}: not an x86-64 ELF file")
        position_independent = struct.unpack_from("<H", self.data, 16)[0] == 3
        self.bias = PROGRAM if position_independent else 0
        entry, self.headers_offset = struct.unpack_from("<QQ", self.data, 24)
        self.entry = entry + self.bias
        self.header_size, self.header_count = struct.unpack_from("<HH", self.data, 54)
        self.loads = []  # (address, bytes of the file, size in memory, PROT_*)
        self.headers_address = 0  # of the program headers in memory, for the auxiliary vector
        for i in range(self.header_count):
            at = self.headers_offset + i * self.header_size
            self._read_header(path, *struct.unpack_from("<IIQQQQQQ", self.data, at))
        self.end = max(address + size for address, _, size, _ in self.loads)

    def _read_header(self, path, kind, flags, offset, address, _, file_size, size, __):
        load, interpreter = 1, 3
        if kind == interpreter:
            raise ImageError(f"{path}: dynamically linked; link it with -static")
        if kind != load:
            return
        protection = (READ if flags & 4 else 0) | (WRITE if flags & 2 else 0) | (EXECUTE if flags & 1 else 0)
        self.loads.append((address + self.bias, self.data[offset : offset + file_size], size, protection))
        if offset <= self.headers_offset < offset + file_size:
            self.headers_address = address + self.bias + self.headers_offset - offset


class Blob:
    """Bytes that are put into memory one after another."""

    def __init__(self, address):
        self.address = address
        self.bytes = bytearray()

    @property
    def end(self):
        return self.address + len(self.bytes)

    def put(self, data, align=16):
        """Returns the address that data got."""
        self.bytes.extend(b"\0" * (-self.end % align))
        address = self.end
        self.bytes.extend(data)
        return address

    def put_text(self, text, align=16):
        return self.put(text.encode() + b"\0", align)


def align_page(address):
    return (address + PAGE - 1) & ~(PAGE - 1)


def boot_page_tables():
    """The first GiB, and the last 2 MiB of the first 4 GiB, where the ROM is, at their own addresses."""
    present, large = 3, 0x83
    directories = PAGE_TABLES + PAGE
    low, high = PAGE_TABLES + 2 * PAGE, PAGE_TABLES + 3 * PAGE
    tables = bytearray(4 * PAGE)
    struct.pack_into("<Q", tables, 0, directories | present)
    struct.pack_into("<Q", tables, PAGE, low | present)
    struct.pack_into("<Q", tables, PAGE + 3 * 8, high | present)
    for i in range(512):
        struct.pack_into("<Q", tables, 2 * PAGE + 8 * i, i << 21 | large)
    struct.pack_into("<Q", tables, 3 * PAGE + 8 * 511, 0xFFE00000 | large)
    return bytes(tables)


def first_stack(elf, path, arguments, environment, top):
    """The stack as Linux hands it to a program: (address, bytes)."""
    texts = Blob(0)
    places = [texts.put_text(text, align=1) for text in [*arguments, *environment, path, "x86_64"]]
    places.append(texts.put(os.urandom(16), align=1))
    texts_at = (top - len(texts.bytes)) & ~15
    places = [texts_at + p for p in places]
    n = len(arguments)
    *variables, exe, platform, random = places[n:]
    auxiliary = {
        3: elf.headers_address,  # AT_PHDR
        4: elf.header_size,  # AT_PHENT
        5: elf.header_count,  # AT_PHNUM
        6: PAGE,  # AT_PAGESZ
        9: elf.entry,  # AT_ENTRY
        11: 0,  # AT_UID, AT_EUID, AT_GID, AT_EGID
        12: 0,
        13: 0,
        14: 0,
        15: platform,  # AT_PLATFORM
        17: 100,  # AT_CLKTCK
        23: 0,  # AT_SECURE
        25: random,  # AT_RANDOM
        31: exe,  # AT_EXECFN
        0: 0,  # AT_NULL, the end
    }
    words = [n, *places[:n], 0, *variables, 0, *(word for item in auxiliary.items() for word in item)]
    at = (texts_at - 8 * len(words)) & ~15
    return at, struct.pack(f"<{len(words)}Q", *words).ljust(texts_at - at, b"\0") + bytes(texts.bytes)


def build(out, program, kernel, arguments, environment, files, memory, ticks_per_us):
    """Writes the image. files: (path inside, path outside); memory: bytes the machine has."""
    elf, kernel_elf = Elf(program), Elf(kernel)
    if min(address for address, *_ in elf.loads) < PROGRAM:
        raise ImageError(f"{program}: linked below {PROGRAM:#x}")
    if kernel_elf.end > PROGRAM:
        raise ImageError("the kernel is too large")
    stack_low = align_page(elf.end) + PAGE  # a page between them that is not mapped
    stack_top = stack_low + STACK_SIZE
    path = os.path.realpath(program)
    stack, stack_bytes = first_stack(elf, path, [program, *arguments], environment, stack_top)
    if stack < stack_top - STACK_SIZE // 2:
        raise ImageError("arguments and environment are too large")

    blob = Blob(stack_top)
    segments = [(address, address + size, protection) for address, _, size, protection in elf.loads]
    segments.append((stack_low, stack_top, READ | WRITE))
    segments_at = blob.put(b"".join(struct.pack("<3Q", *s) for s in segments))
    exe_at = blob.put_text(path)
    entries = []
    for inside, outside in files:
        data = Path(outside).read_bytes()
        entries.append(struct.pack("<3Q", blob.put_text(inside), blob.put(data, PAGE), len(data)))
    files_at = blob.put(b"".join(entries))
    free_start = align_page(blob.end)
    if free_start + 16 * MIB + memory // 512 > memory or free_start + 16 * MIB > 1 << 30:
        raise ImageError("program and files are too large for the machine's memory")

    size = free_start - BASE
    words = [-(-size // BLOCK), PAGE_TABLES, BOOT_STACK, kernel_elf.entry]
    longs = [memory, elf.entry, stack, free_start, segments_at, len(segments), files_at, len(files)]
    longs += [ticks_per_us, time.time_ns(), exe_at]
    params = struct.pack(f"<{len(words)}I{len(longs)}Q", *words, *longs)
    chunks = [(address, data) for address, data, *_ in [*kernel_elf.loads, *elf.loads]]
    chunks += [(BASE, params), (PAGE_TABLES, boot_page_tables()), (stack, stack_bytes), (blob.address, blob.bytes)]
    with open(out, "wb") as image:
        image.truncate(size)
        for address, data in chunks:
            image.seek(address - BASE)
            image.write(data)
