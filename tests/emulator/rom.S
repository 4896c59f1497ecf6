/* The emulated machine's reset ROM, in place of a BIOS: from 16-bit reset straight to 64-bit mode and the kernel.
 *
 * image.py has laid out memory from 1 MiB on: struct params (kernel/kernel.h) first, then page tables, the kernel, the program.
 * bochs gives a 128 KiB block of host memory to a guest block when the guest first touches it, in order of first touch, but reads
 * an image file contiguously. So every block of the image is touched in ascending order before anything else: then all of it is
 * where it belongs. */

	.set IMAGE, 0x100000
	.set BLOCK, 0x20000

	.code16
	.section .text
	.globl start16
start16:
	cli
	cld
	lgdtl %cs:gdt_pointer-start16
	movl %cr0, %eax
	orb $1, %al                    /* protected mode */
	movl %eax, %cr0
	ljmpl $0x08, $start32

	.code32
start32:
	movw $0x18, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw %ax, %fs
	movw %ax, %gs
	movl $IMAGE, %edi
	movl 0(%edi), %ecx             /* params.blocks */
	movl 4(%edi), %ebx             /* params.boot_page_tables */
touch:
	movl (%edi), %eax
	addl $BLOCK, %edi
	decl %ecx
	jnz touch

	movl %cr4, %eax
	orl $0x20, %eax                /* PAE */
	movl %eax, %cr4
	movl %ebx, %cr3
	movl $0xc0000080, %ecx         /* EFER */
	rdmsr
	orl $0x100, %eax               /* long mode */
	wrmsr
	movl %cr0, %eax
	orl $0x80000001, %eax          /* paging */
	andl $0x9fffffff, %eax         /* caches on */
	movl %eax, %cr0
	ljmpl $0x10, $start64

	.code64
start64:
	movl $IMAGE, %edi              /* the kernel's argument: params */
	movl 8(%rdi), %esp             /* params.boot_stack */
	movl 12(%rdi), %eax            /* params.kernel_entry */
	jmp *%rax

	.balign 16
gdt:	.quad 0
	.quad 0x00cf9a000000ffff       /* 08: 32-bit code */
	.quad 0x00af9a000000ffff       /* 10: 64-bit code */
	.quad 0x00cf92000000ffff       /* 18: data */
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.long gdt

	.section .reset, "ax"          /* the 16 bytes where the CPU starts */
	.code16
	jmp start16
	.balign 16, 0
	.section .note.GNU-stack, "", @progbits
