/* Where the CPU enters the kernel, and where it leaves: system calls, traps, thread switches. All save the program's
 * general registers as a struct regs (kernel.h) on top of the current thread's kernel stack. The kernel is compiled
 * without vector instructions, so those registers are saved only when threads switch. */

	.text
	.globl syscall_entry
syscall_entry:
	movq %rsp, user_rsp
	movq current_stack, %rsp
	pushq $0x23                    /* ss, as a trap pushes them */
	pushq user_rsp
	pushq %r11                     /* flags */
	pushq $0x2b                    /* cs */
	pushq %rcx                     /* rip */
	pushq $0x100                   /* "vector": a system call */
	call save_regs
	movq %rsp, %rdi
	call do_syscall

	.globl return_to_user
return_to_user:
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rax
	popq %rcx
	popq %rdx
	popq %rsi
	popq %rdi
	addq $8, %rsp                  /* the vector */
	iretq

save_regs:                             /* its return address lies where rdi belongs */
	xchgq %rdi, (%rsp)
	pushq %rsi
	pushq %rdx
	pushq %rcx
	pushq %rax
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	jmp *%rdi

/* One stub a vector: exceptions 0 to 31, the timer (32), the spurious interrupt (33). */
	.macro stub number, has_error
stub_\number:
	.if \has_error
	popq trap_error
	.endif
	pushq $\number
	jmp trap
	.endm
	.irp n, 0,1,2,3,4,5,6,7,9,15,16,18,19,20,22,23,24,25,26,27,28,31,32
	stub \n, 0
	.endr
	.irp n, 8,10,11,12,13,14,17,21,29,30
	stub \n, 1
	.endr
stub_33:
	iretq
trap:
	call save_regs
	movq %rsp, %rdi
	call do_trap
	jmp return_to_user

	.globl switch_stacks           /* (u64* save_old_rsp_here, u64 new_rsp) */
switch_stacks:
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

	.section .rodata
	.globl stub_table
stub_table:
	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33
	.quad stub_\n
	.endr

	.bss
	.balign 8
	.globl user_rsp, trap_error
user_rsp: .quad 0
trap_error: .quad 0
	.section .note.GNU-stack, "", @progbits
