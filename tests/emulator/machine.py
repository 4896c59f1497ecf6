"""One emulated machine: compiles its ROM and kernel, starts bochs with them, passes the program's output on."""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import image

HERE = Path(__file__).resolve().parent
MEMORY_MIB = 1024
TICKS_PER_US = 50  # of the machine's clock, which counts instructions
TIMED_OUT, FAILED = 124, 125  # exit statuses; a program has others

BOCHSRC = f"""config_interface: textconfig
display_library: rfb, options="timeout=0"
plugin_ctrl: unmapped=1, biosdev=0, speaker=0, extfpuirq=0, parallel=0, gameport=0, iodebug=0, serial=0
cpu: model={{cpu}}, count=1, ips={TICKS_PER_US * 1000000}, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest={MEMORY_MIB}, host={MEMORY_MIB}
romimage: file=rom.bin
vgaromimage: file=vga.bin
optramimage1: file=image.bin, address=0x100000
port_e9_hack: enabled=1
clock: sync=none
vga: extension=none, update_freq=1
log: bochs.log
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
"""

KERNEL_FLAGS = """-std=c11 -O1 -ffreestanding -fno-pie -no-pie -mno-red-zone -mgeneral-regs-only -fno-stack-protector
-fcf-protection=none -fno-asynchronous-unwind-tables -fno-strict-aliasing -nostdlib -static -Wl,--build-id=none
-Wl,--no-warn-rwx-segments""".split()


class MachineError(Exception):
    """The machine could not be built or started."""


def find_bochs():
    """Debian's bochs is a wrapper script around bochs-bin."""
    return shutil.which("bochs-bin") or shutil.which("bochs")


def check_cpu(name):
    """Raises MachineError for a model that bochs does not have; it says so itself, but among much else."""
    listed = subprocess.run([find_bochs(), "--help", "cpu"], check=False, capture_output=True, text=True)
    names = (listed.stdout + listed.stderr).split()
    if name not in names:
        raise MachineError(f"bochs has no CPU model '{name}'; `bochs --help cpu` lists them")


def _do(folder, *command):
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    result = subprocess.run(command, cwd=folder, check=False, **output)
    if result.returncode:
        raise MachineError(f"{' '.join(map(str, command))} failed:\n{result.stdout}")


def _compile(folder, xcr0):
    """rom.bin and kernel.elf: half a second, so nothing is kept between runs."""
    gcc = os.environ.get("CC", "gcc")
    sources = sorted((HERE / "kernel").glob("*.[cS]"))
    _do(folder, gcc, *KERNEL_FLAGS, f"-DXCR0={xcr0}", f"-Wl,-T,{HERE / 'kernel' / 'kernel.ld'}", "-o", "kernel.elf", *sources)
    rom_flags = ("-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", f"-Wl,-T,{HERE / 'rom.ld'}")
    _do(folder, gcc, *rom_flags, "-o", "rom.elf", HERE / "rom.S")
    _do(folder, "objcopy", "-O", "binary", "rom.elf", "rom.bin")


def _isolate():
    """In bochs's process, before it starts: it dies with us, and nobody reaches the network port of its display."""
    set_parent_death_signal = 1
    new_user, new_network = 0x10000000, 0x40000000
    libc = ctypes.CDLL(None)
    libc.prctl(set_parent_death_signal, signal.SIGKILL)
    if libc.unshare(new_network) != 0:
        libc.unshare(new_user | new_network)


def _start(folder, cpu):
    (folder / "vga.bin").write_bytes(b"\x55\xaa\x01" + b"\0" * 509)  # bochs asks for one; it never runs
    (folder / "bochsrc").write_text(BOCHSRC.format(cpu=cpu))
    (folder / "commands").write_text("c\n")  # "continue", for a bochs that has its debugger built in
    bochs = find_bochs()
    quiet = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    usage = subprocess.run([bochs, "--help"], cwd=folder, check=False, **quiet)
    with_debugger = "-rc " in usage.stdout + usage.stderr
    command = [bochs, "-q", "-f", "bochsrc"] + (["-rc", "commands"] if with_debugger else [])
    output = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
    with open(folder / "bochs.err", "w") as output["stderr"]:
        return subprocess.Popen(command, cwd=folder, start_new_session=True, preexec_fn=_isolate, **output)


class _Frames:
    """Takes bochs's output apart (kernel/output.c says how) and passes the program's on. status: once it is known."""

    START = 0x1E

    def __init__(self):
        self.status = None
        self._data = bytearray()
        self._streams = {ord("O"): sys.stdout.buffer, ord("E"): sys.stderr.buffer}

    def add(self, part):
        self._data += part
        while (frame := self._next_frame()) is not None:
            channel, body = frame
            if channel in self._streams:
                self._streams[channel].write(body)
            else:
                self.status = int(body)
        for stream in self._streams.values():
            stream.flush()

    def _next_frame(self):
        start = self._data.find(self.START)
        if start < 0:
            self._data.clear()  # what bochs itself says
            return None
        del self._data[:start]
        if len(self._data) < 3 or len(self._data) < 3 + self._data[2]:
            return None
        end = 3 + self._data[2]
        channel, body = self._data[1], bytes(self._data[3:end])
        del self._data[:end]
        return channel, body


class _TimedOut(Exception):
    pass


def _follow(process, deadline):
    """The exit status; None when the machine ended without one."""
    frames = _Frames()
    while frames.status is None:
        left = None if deadline is None else max(0, deadline - time.monotonic())
        if not select.select([process.stdout], [], [], left)[0]:
            raise _TimedOut
        time.sleep(0.004)  # bochs writes byte by byte: let some gather
        part = os.read(process.stdout.fileno(), 1 << 16)
        if not part:
            return None
        frames.add(part)
    return frames.status


def _end_of_logs(folder):
    lines = []
    for name in ("bochs.log", "bochs.err"):
        if (folder / name).exists():
            lines += (folder / name).read_text(errors="replace").splitlines()[-12:]
    return "\n".join(lines)


def _instructions(folder):
    """How many the machine ran: every line of bochs's log begins with the count so far."""
    counts = [line[:11] for line in (folder / "bochs.log").read_text(errors="replace").splitlines()]
    return max((int(count) for count in counts if count.isdigit()), default=0)


def run(folder, program, arguments, environment, files, cpu, xcr0, timeout, verbose):
    """Runs the program in an empty folder's machine and returns its exit status."""
    began = time.monotonic()
    _compile(folder, xcr0)
    memory = MEMORY_MIB * image.MIB
    kernel = folder / "kernel.elf"
    image.build(folder / "image.bin", program, kernel, arguments, environment, files, memory, TICKS_PER_US)
    process = _start(folder, cpu)
    try:
        status = _follow(process, began + timeout if timeout else None)
        if status is not None:
            process.wait(5)
    except _TimedOut:
        print(f"emulator: no end after {timeout:g} s", file=sys.stderr)
        status = TIMED_OUT
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if status is None:
        raise MachineError(f"the machine ended by itself; the end of its log:\n{_end_of_logs(folder)}")
    if verbose:
        spent, count = time.monotonic() - began, _instructions(folder)
        print(f"emulator: {spent:.1f} s, {count / 1e6:.0f} million instructions", file=sys.stderr)
    return status
