#include "codegen/model/error.h"
#include "codegen/program/program.h"

namespace mithral::codegen {
namespace {

class Verifier {
 public:
  explicit Verifier(const Program& program)
      : program_(program), vector_written_(program.n_vregs), pointer_written_(program.n_pregs) {}

  void run() {
    matching_loops(program_);
    for (const Op& op : program_.ops) check(op);
  }

 private:
  struct Loop {
    Preg counter;
    std::vector<bool> vector_written;  // as the loop began
    std::vector<bool> pointer_written;
  };

  void check(const Op& op) {
    const Form form = info(op.code).form;
    const DefUse registers = def_use(op);
    for (const Vreg use : registers.vector_uses) {
      if (use != kNoVreg)
        require(is_written(vector_written_, static_cast<int>(use)), op, "reads an unwritten register");
    }
    for (const Preg use : registers.pointer_uses) {
      if (use != kNoPreg)
        require(is_written(pointer_written_, static_cast<int>(use)), op, "reads an unwritten register");
    }
    require(program_.target.has(info(op.code).needs), op, "needs what the target lacks");
    check_length(op);
    require(op.code != Opcode::dot_u8 || op.d == op.a, op, "adds in another register than its result's");
    if (has_memory(form)) check_memory(op);
    check_immediate(op);
    check_loops(op);
    if (registers.vector_def != kNoVreg) mark(vector_written_, static_cast<int>(registers.vector_def), op);
    if (registers.pointer_def != kNoPreg) mark(pointer_written_, static_cast<int>(registers.pointer_def), op);
  }

  void check_length(const Op& op) {
    if (op.code != Opcode::lookup_64 && op.code != Opcode::lookup_128) return;
    require(program_.target.vector_bytes == 64, op, "looks up in vectors of 64 bytes");
  }

  void check_memory(const Op& op) {
    const Mem& mem = op.mem;
    if (mem.constant == kNoConstant) {
      require(mem.base != kNoPreg, op, "has a memory operand without a base");
      return;
    }
    require(mem.base == kNoPreg && mem.index == kNoPreg, op, "mixes a constant with pointers");
    const Form form = info(op.code).form;
    require(form != Form::MV && form != Form::MVI, op, "writes to a constant");
    const auto id = static_cast<size_t>(mem.constant);
    require(id < program_.constants.size(), op, "names an unknown constant");
    const auto size = static_cast<int64_t>(program_.constants[id].bytes.size());
    require(mem.disp >= 0 && mem.disp + bytes_read(op) <= size, op, "reads outside its constant");
  }

  int64_t bytes_read(const Op& op) const {
    switch (op.code) {
      case Opcode::address: return 0;
      case Opcode::broadcast_32: return 4;
      case Opcode::load_u8: return 1;
      case Opcode::load_i64: return 8;
      case Opcode::load_i8_f32:
      case Opcode::load_u8_f32: return program_.target.lanes();
      case Opcode::load_i16_f32:
      case Opcode::load_bf16_f32:
      case Opcode::load_f16_f32: return 2 * program_.target.lanes();
      case Opcode::load_128:
      case Opcode::insert_128:
      case Opcode::broadcast_128: return 16;
      default: return program_.target.vector_bytes;
    }
  }

  void check_immediate(const Op& op) {
    const int lanes = program_.target.lanes();
    switch (op.code) {
      case Opcode::shl_u16:
      case Opcode::shr_u16: return require_below(op, 16);
      case Opcode::shl_u32:
      case Opcode::shr_u32: return require_below(op, 32);
      case Opcode::shr_imm: return require_below(op, 64);
      case Opcode::blend_lane: return require_below(op, lanes);
      case Opcode::segment:
      case Opcode::store_segment:
      case Opcode::insert_128: return require_below(op, lanes / 4);
      case Opcode::store_lanes: require(op.imm >= 1, op, "stores no lane"); return require_below(op, 5);
      case Opcode::store_first: require(op.imm >= 1, op, "stores no lane"); return require_below(op, lanes + 1);
      case Opcode::arg: return require_below(op, static_cast<int64_t>(program_.args.size()));
      case Opcode::and_imm:
      case Opcode::mul_imm: return require_below(op, int64_t{1} << 31);
      case Opcode::add_imm:
        return require(op.imm == static_cast<int32_t>(op.imm), op, "has an immediate beyond 32 bits");
      default: return;
    }
  }

  void check_loops(const Op& op) {
    if (op.code == Opcode::loop_begin) {
      for (const Loop& loop : loops_) require(op.p != loop.counter, op, "counts with the counter of a loop around it");
      loops_.push_back({op.p, vector_written_, pointer_written_});
      return;
    }
    if (op.code == Opcode::loop_end) {
      // The body may not have run: what only it wrote is unwritten again.
      vector_written_ = std::move(loops_.back().vector_written);
      pointer_written_ = std::move(loops_.back().pointer_written);
      loops_.pop_back();
      return;
    }
    for (const Loop& loop : loops_) require(op.pd != loop.counter, op, "writes the counter of a loop around it");
  }

  static bool is_written(const std::vector<bool>& written, int id) {
    return id < static_cast<int>(written.size()) && written[id];
  }

  void mark(std::vector<bool>& written, int id, const Op& op) {
    require(id < static_cast<int>(written.size()), op, "writes a register that was not allocated");
    written[id] = true;
  }

  void require_below(const Op& op, int64_t limit) {
    require(op.imm >= 0 && op.imm < limit, op, "has an immediate out of range");
  }

  void require(bool condition, const Op& op, const char* what) {
    if (!condition) {
      throw InternalError(message("invalid program ", program_.name, ": '", info(op.code).name, "' ", what));
    }
  }

  const Program& program_;
  std::vector<bool> vector_written_;
  std::vector<bool> pointer_written_;
  std::vector<Loop> loops_;  // those around the current operation
};

}  // namespace

void verify(const Program& program) { Verifier(program).run(); }

}  // namespace mithral::codegen
