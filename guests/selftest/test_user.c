/* SPDX-License-Identifier: MIT */
/* Ring 3: what faults, and what silently does something else. The latter are
 * the sensitive, unprivileged instructions that trap-and-emulate never sees
 * (Robin and Irvine, USENIX Security 2000). */
#include "lib/desc.h"
#include "lib/lib.h"
#include "tap.h"
#include "tests.h"

static const struct {
    uint8_t bytes[8];
    uint8_t len;
} privileged_code[] = {
  /* clang-format off */
    {{0xF4}, 1},                               /* hlt */
    {{0xFA}, 1},                               /* cli */
    {{0xFB}, 1},                               /* sti */
    {{0xE4, 0x21}, 2},                         /* in al, 21h */
    {{0xE6, 0x80}, 2},                         /* out 80h, al */
    {{0xEC}, 1},                               /* in al, dx */
    {{0x6C}, 1},                               /* insb */
    {{0x0F, 0x01, 0x10}, 3},                   /* lgdt [eax] */
    {{0x0F, 0x01, 0x18}, 3},                   /* lidt [eax] */
    {{0x0F, 0x00, 0xD0}, 3},                   /* lldt ax */
    {{0x0F, 0x00, 0xD8}, 3},                   /* ltr ax */
    {{0x0F, 0x01, 0xF0}, 3},                   /* lmsw ax */
    {{0x0F, 0x06}, 2},                         /* clts */
    {{0x0F, 0x20, 0xC0}, 3},                   /* mov eax, cr0 */
    {{0x0F, 0x22, 0xD8}, 3},                   /* mov cr3, eax */
    {{0x0F, 0x21, 0xF8}, 3},                   /* mov eax, dr7 */
    {{0x0F, 0x23, 0xF8}, 3},                   /* mov dr7, eax */
    {{0x0F, 0x01, 0x38}, 3},                   /* invlpg [eax] */
    {{0x0F, 0x09}, 2},                         /* wbinvd */
    {{0x0F, 0x32}, 2},                         /* rdmsr */
    {{0x0F, 0x30}, 2},                         /* wrmsr */
    {{0x0F, 0x35}, 2},                         /* sysexit */
  /* clang-format on */
};

void privileged(void)
{
    for (uint32_t i = 0; i < sizeof(privileged_code) / sizeof(*privileged_code);
         i++) {
        user_run_bytes(privileged_code[i].bytes, privileged_code[i].len);
        EXPECT_TRAP(EXC_GP, 0);
        EXPECT_EQ(last.eip, user_page);
    }
}

/* EBX = a buffer in ring 3's memory; results come back in it. */
USER_FUNCTION(store_all, "mov ebx, offset user_page\n"
                         "sgdt [ebx]\n"
                         "sidt [ebx + 8]\n"
                         "xor eax, eax\n"
                         "sldt ax\n"
                         "mov ecx, eax\n"
                         "str ax\n"
                         "mov edx, eax\n"
                         "smsw ax" USER_END);

void store_system(void)
{
    struct table_reg gdtr, idtr;

    memset(user_page, 0, PAGE);
    user_run(store_all, 0);
    EXPECT_EQ(last.vector, VECTOR_EXIT);
    memcpy(&gdtr, user_page, sizeof(gdtr));
    memcpy(&idtr, user_page + 8, sizeof(idtr));
    EXPECT_EQ(gdtr.base, gdt);
    EXPECT_EQ(gdtr.limit, sizeof(gdt) - 1);
    EXPECT_EQ(idtr.base, idt);
    EXPECT_EQ(idtr.limit, sizeof(idt) - 1);
    EXPECT_EQ(last.ecx, 0);
    EXPECT_EQ(last.edx, TSS_SELECTOR);
    EXPECT_EQ(last.eax & 0xFFFF, read_cr0() & 0xFFFF);
}

USER_FUNCTION(clear_if, "pushfd\n"
                        "pop ecx\n"
                        "push 2\n"
                        "popfd\n"
                        "pushfd\n"
                        "pop eax" USER_END);

void popf_interrupt_flag(void)
{
    user_run_flags(clear_if, 0, 2 | EF_IF);
    EXPECT_USER_RESULT(2 | EF_IF);
    EXPECT_EQ(last.ecx, 2 | EF_IF);
    EXPECT(last.eflags & EF_IF);
    user_run_flags(clear_if, 0, 2);
    EXPECT_USER_RESULT(2);
}

USER_FUNCTION(set_iopl, "push 0x3246\n"
                        "popfd\n"
                        "pushfd\n"
                        "pop eax" USER_END);
USER_FUNCTION(cli_sti, "cli\n"
                       "pushfd\n"
                       "pop eax\n"
                       "sti" USER_END);

void popf_iopl(void)
{
    user_run(set_iopl, 0);
    EXPECT_USER_RESULT(0x246);
    user_run_flags(cli_sti, 0, 2 | EF_IF);
    EXPECT_TRAP(EXC_GP, 0);
    user_run_flags(cli_sti, 0, 2 | EF_IF | EF_IOPL);
    EXPECT_USER_RESULT(2 | EF_IOPL);
    user_run_flags(clear_if, 0, 2 | EF_IF | EF_IOPL);
    EXPECT_USER_RESULT(2 | EF_IOPL); /* IF may change, IOPL may not */
}

void popf_ring0(void)
{
    set_eflags(2 | EF_IOPL | EF_IF);
    EXPECT_EQ(eflags() & (EF_IOPL | EF_IF), EF_IOPL | EF_IF);
    set_eflags(2 | EF_IF);
    EXPECT_EQ(eflags() & (EF_IOPL | EF_IF), EF_IF);
    __asm__ volatile("push 0; popfw" : : : "memory", "cc");
    EXPECT_EQ(eflags() & EF_IF, 0);
    set_eflags(0xFFFFFFFF & ~(uint32_t)(EF_TF | EF_IF | 1 << 14 | 1 << 17));
    EXPECT_EQ(eflags() & 0xFFC18028, 0); /* reserved bits, RF */
    set_eflags(2);
    EXPECT_EQ(eflags(), 2);
}

/* EAX = selector; ECX collects one bit per instruction that says yes. */
USER_FUNCTION(inspect_one, "xor ecx, ecx\n"
                           "lar edx, eax\n"
                           "jnz 1f\n"
                           "or ecx, 1\n"
                           "1: lsl edx, eax\n"
                           "jnz 1f\n"
                           "or ecx, 2\n"
                           "1: verr ax\n"
                           "jnz 1f\n"
                           "or ecx, 4\n"
                           "1: verw ax\n"
                           "jnz 1f\n"
                           "or ecx, 8\n"
                           "1: mov eax, ecx" USER_END);

void inspect_user(void)
{
    user_run(inspect_one, KERNEL_DATA);
    EXPECT_USER_RESULT(0);
    user_run(inspect_one, KERNEL_CODE);
    EXPECT_USER_RESULT(0);
    user_run(inspect_one, USER_DATA);
    EXPECT_USER_RESULT(15);
    user_run(inspect_one, USER_CODE);
    EXPECT_USER_RESULT(7);
    user_run(inspect_one, TSS_SELECTOR);
    EXPECT_USER_RESULT(0);
    user_run(inspect_one, 0);
    EXPECT_USER_RESULT(0);
}

USER_FUNCTION(move_segments, "push cs\n"
                             "pop eax\n"
                             "push ss\n"
                             "pop ebx\n"
                             "mov ecx, ds\n"
                             "mov edx, 0x20\n" /* RPL 0 is raised by nobody */
                             "mov es, edx\n"
                             "mov edx, es\n"
                             "push 0x23\n"
                             "pop fs\n"
                             "mov esi, fs\n"
                             "xor edi, edi\n"
                             "mov gs, edi\n"
                             "mov edi, gs" USER_END);
USER_FUNCTION(load_kernel_data, "mov ebx, 0x10\nmov ds, ebx" USER_END);
USER_FUNCTION(pop_kernel_data, "push 0x10\npop es" USER_END);
USER_FUNCTION(load_null_ss, "mov ebx, 3\nmov ss, ebx" USER_END);

void segment_moves(void)
{
    user_run(move_segments, 0);
    EXPECT_USER_RESULT(USER_CODE);
    EXPECT_EQ(last.ebx & 0xFFFF, USER_DATA);
    EXPECT_EQ(last.ecx & 0xFFFF, USER_DATA);
    EXPECT_EQ(last.edx & 0xFFFF, 0x20);
    EXPECT_EQ(last.esi & 0xFFFF, USER_DATA);
    EXPECT_EQ(last.edi & 0xFFFF, 0);
    user_run(load_kernel_data, 0);
    EXPECT_TRAP(EXC_GP, KERNEL_DATA);
    user_run(pop_kernel_data, 0);
    EXPECT_TRAP(EXC_GP, KERNEL_DATA);
    EXPECT_EQ(last.user_esp, user_stack_end - 4);
    user_run(load_null_ss, 0);
    EXPECT_TRAP(EXC_GP, 0);
}

USER_FUNCTION(far_ways, "call 0x1b:1f\n"
                        "jmp 0x1b:2f\n"
                        "1: inc eax\n"
                        "retf\n"
                        "2: add eax, 16\n"
                        "push cs\n"
                        "push offset 3f\n"
                        "retf\n"
                        "3: add eax, 256" USER_END);
USER_FUNCTION(far_call_kernel, "call 8:0" USER_END);
USER_FUNCTION(far_jump_kernel, "jmp 8:0" USER_END);
USER_FUNCTION(far_return_kernel, "push 8\npush 0\nretf" USER_END);
USER_FUNCTION(iret_kernel, "push 2\npush 8\npush 0\niretd" USER_END);
USER_FUNCTION(iret_user, "push 0x3002\n"
                         "push 0x1b\n"
                         "push offset 1f\n"
                         "iretd\n"
                         "ud2\n"
                         "1: pushfd\n"
                         "pop eax" USER_END);

void far_user(void)
{
    user_run(far_ways, 0);
    EXPECT_USER_RESULT(0x111);
    user_run(far_call_kernel, 0);
    EXPECT_TRAP(EXC_GP, KERNEL_CODE);
    user_run(far_jump_kernel, 0);
    EXPECT_TRAP(EXC_GP, KERNEL_CODE);
    user_run(far_return_kernel, 0);
    EXPECT_TRAP(EXC_GP, KERNEL_CODE);
    user_run(iret_kernel, 0);
    EXPECT_TRAP(EXC_GP, KERNEL_CODE);
    user_run(iret_user, 0);
    EXPECT_USER_RESULT(2 | EF_IF); /* neither IOPL nor IF changed */
}

USER_FUNCTION(int_13, "int 13" USER_END);
USER_FUNCTION(int_14, "int 14" USER_END);
USER_FUNCTION(into_taken, "mov al, 0x7f\nadd al, 1\ninto" USER_END);

void int_user(void)
{
    user_run(int_13, 0);
    EXPECT_TRAP(EXC_GP, 13 * 8 + 2);
    user_run(int_14, 0);
    EXPECT_TRAP(EXC_GP, 14 * 8 + 2);
    user_run(into_taken, 0);
    EXPECT_TRAP(EXC_OF, 0);
}

USER_FUNCTION(read_61h, "in al, 0x61\nmov eax, 5" USER_END);
USER_FUNCTION(read_60h_word, "in ax, 0x60\nmov eax, 5" USER_END);
USER_FUNCTION(read_far_port, "mov dx, 0x500\nin al, dx" USER_END);

void io_bitmap(void)
{
    user_run(read_61h, 0);
    EXPECT_TRAP(EXC_GP, 0);
    tss.io_bits[0x61 / 8] &= (uint8_t) ~(1u << (0x61 % 8));
    user_run(read_61h, 0);
    EXPECT_USER_RESULT(5);
    user_run(read_60h_word, 0); /* 61h may, 60h may not */
    EXPECT_TRAP(EXC_GP, 0);
    user_run(read_far_port, 0);
    EXPECT_TRAP(EXC_GP, 0);
    tss.iomap = sizeof(tss); /* beyond the limit: no port at all */
    user_run(read_61h, 0);
    EXPECT_TRAP(EXC_GP, 0);
}

USER_FUNCTION(load_at_eax, "mov ecx, [eax]" USER_END);
USER_FUNCTION(store_at_eax, "mov [eax], ecx" USER_END);
USER_FUNCTION(jump_to_eax, "jmp eax");

void kernel_memory(void)
{
    user_run(load_at_eax, (uint32_t)gdt);
    EXPECT_PAGE_FAULT(5, gdt);
    user_run(store_at_eax, (uint32_t)gdt + 4);
    EXPECT_PAGE_FAULT(7, (uint32_t)gdt + 4);
    user_run(jump_to_eax, (uint32_t)kernel_memory);
    EXPECT_PAGE_FAULT(5 | (paging_has_nx() ? 16 : 0), kernel_memory);
    EXPECT_EQ(last.eip, kernel_memory);
    user_run(load_at_eax, 0xFFFFF000);
    EXPECT_PAGE_FAULT(4, 0xFFFFF000);
}

static bool map_on_demand(struct frame *frame)
{
    uint32_t page = last_cr2 & ~(PAGE - 1);

    if (frame->vector != EXC_PF || last_cr2 < TEST_VA)
        return false;
    map(page, frame_alloc(), PG_P | PG_W | PG_U);
    *mem32(page) = page;
    return true;
}

USER_FUNCTION(touch_pages, "mov ecx, 64\n"
                           "xor ebx, ebx\n"
                           "1: add ebx, [eax]\n"
                           "mov [eax + 8], ecx\n"
                           "add eax, 4096\n"
                           "loop 1b\n"
                           "mov eax, ebx" USER_END);

void demand_paging(void)
{
    trap_hook = map_on_demand;
    user_run(touch_pages, TEST_VA);
    EXPECT_USER_RESULT(64u * TEST_VA + 63 * 64 / 2 * PAGE);
    EXPECT_EQ(trap_count, 65);
    EXPECT_EQ(*mem32(TEST_VA + 63 * PAGE + 8), 1);
}

static bool add_one(struct frame *frame)
{
    if (frame->vector != VECTOR_EXIT || frame->ebx == 0)
        return false;
    frame->eax += frame->ebx;
    return true;
}

USER_FUNCTION(call_often, "mov ecx, 1000\n"
                          "mov ebx, 3\n"
                          "1: int 0x80\n"
                          "loop 1b\n"
                          "xor ebx, ebx" USER_END);

void many_calls(void)
{
    trap_hook = add_one;
    user_run(call_often, 0);
    EXPECT_USER_RESULT(3000);
    EXPECT_EQ(trap_count, 1001);
}

USER_FUNCTION(user_rdtsc, "rdtsc\nmov eax, 3" USER_END);

void rdtsc_disable(void)
{
    user_run(user_rdtsc, 0);
    EXPECT_USER_RESULT(3);
    write_cr4(read_cr4() | CR4_TSD);
    user_run(user_rdtsc, 0);
    EXPECT_TRAP(EXC_GP, 0);
    TRY("rdtsc", : : : "eax", "edx");
    EXPECT_NO_TRAP();
}
