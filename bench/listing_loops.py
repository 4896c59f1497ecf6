"""The loops of emitted code: their instructions (kernel.listing()), and how often each runs (kernel.program())."""

import re
from typing import NamedTuple

PROGRAM = re.compile(r"program (\w+) for ")
LISTING = re.compile(r"; (\w+) for \w+: \d+ bytes of code")
OPERATION = re.compile(r" *(?:(p\d+) = )?(\w+) ?([^;]*)(?:; (\w+))?$")
INSTRUCTION = re.compile(r" *[0-9a-f]+  ([0-9a-f]+)  (.*)$")
STORE = re.compile(r"v?movups \[[^\]]*\], ([xyz])mm")
FLOAT_BYTES = 4
VECTOR_BYTES = {"x": 16, "y": 32, "z": 64}


class Instruction(NamedTuple):
    code: bytes
    text: str


class Section(NamedTuple):
    """Code that runs as often as its first instruction: a loop's body without the loops in it."""

    executions: int
    instructions: list


class Pointers:
    """Values of the program's pointer registers as far as they follow from known arguments; None: an address."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.values = {}

    def run(self, result, operation, operands, name):
        operands = [self._value(operand) for operand in operands.strip().split(", ")]
        compute = {
            "arg": lambda index: self.arguments.get(name),
            "set": lambda value: value,
            "add": lambda p, q: p + q,
            "add_imm": lambda p, i: p + i,
            "mul_imm": lambda p, i: p * i,
            "shr_imm": lambda p, i: p >> i,
            "and_imm": lambda p, i: p & i,
        }.get(operation)
        unknown = compute is None or None in operands
        self.values[result] = None if unknown else compute(*operands)

    def count(self, counter):
        count = self.values[counter.strip()]
        if count is None:
            raise ValueError(f"the loop over {counter} does not follow from the arguments {self.arguments}")
        return count

    def _value(self, operand):
        return int(operand) if re.fullmatch(r"-?\d+", operand) else self.values.get(operand)


def split(text, header):
    """The lines of every routine by its name."""
    lines_of = {}
    for line in text.splitlines():
        if name := header.match(line):
            lines = lines_of.setdefault(name[1], [])
        elif line:
            lines.append(line)
    return lines_of


def loop_executions(program_lines, arguments):
    """How often the body of each loop runs, in the order of the loops."""
    pointers = Pointers(arguments)
    result = []
    around = [1]
    for line in program_lines:
        operation = OPERATION.match(line)
        if not operation:
            continue
        pointer, name, operands, argument = operation.groups()
        if name == "loop_begin":
            result.append(around[-1] * pointers.count(operands))
            around.append(result[-1])
        elif name == "loop_end":
            around.pop()
        elif pointer:
            pointers.run(pointer, name, operands, argument)
    return result


def read_routine(program_lines, listing_lines, arguments):
    """All sections of a routine, the code outside of its loops first."""
    executions = iter(loop_executions(program_lines, arguments))
    sections = [Section(1, [])]
    around = [sections[0]]
    for line in listing_lines:
        instruction = INSTRUCTION.match(line)
        if not instruction or instruction[2] == "(padding)":
            continue
        around[-1].instructions.append(Instruction(bytes.fromhex(instruction[1]), instruction[2]))
        if instruction[2].startswith("jz end_"):
            sections.append(Section(next(executions), []))
            around.append(sections[-1])
        elif instruction[2].startswith("jnz loop_"):
            around.pop()
    return sections


def read_kernel(kernel, arguments, routines):
    """The sections of these routines by their names, when they are called with these arguments, {"n_blocks": 4}."""
    programs, listings = split(kernel.program(), PROGRAM), split(kernel.listing(), LISTING)
    return {name: read_routine(programs[name], listings[name], arguments) for name in routines}


def rows_of_block(kernel):
    """Rows that a block of codes stands for: a scan of one block stores one float a row and output and nothing else."""
    stored = sum(
        section.executions * VECTOR_BYTES[store[1]]
        for section in read_kernel(kernel, {"n_blocks": 1}, ["scan_to_columns"])["scan_to_columns"]
        for instruction in section.instructions
        if (store := STORE.match(instruction.text))
    )
    rows, rest = divmod(stored, FLOAT_BYTES * kernel.model.n_outputs)
    if rest or not rows:
        raise ValueError(f"{stored} bytes of outputs are no whole rows of {kernel.model.n_outputs} outputs")
    return rows
