/* SPDX-License-Identifier: MIT */
/* Gates, privilege changes and far transfers.
 * SDM Vol.3A "Protection" and "Exception and Interrupt Handling". */
#include "lib/desc.h"
#include "tap.h"
#include "tests.h"

extern const uint32_t vector_table[256];
extern const char gate_entry[], sysenter_entry[];
extern volatile uint32_t gate_seen[5], sysenter_seen[4];
extern char boot_stack_end[];

static uint32_t handler_eflags;

static bool note_eflags(struct frame *frame)
{
    (void)frame;
    handler_eflags = eflags();
    return true;
}

void gate_flags(void)
{
    idt[0x50] = gate(KERNEL_CODE, vector_table[0x50], GATE_INT, 0);
    idt[0x51] = gate(KERNEL_CODE, vector_table[0x51], GATE_TRAP, 0);
    trap_hook = note_eflags;
    __asm__ volatile("sti; int 0x50; cli" : : : "memory", "cc");
    EXPECT(!(handler_eflags & EF_IF));
    EXPECT(last.eflags & EF_IF);
    __asm__ volatile("sti; int 0x51; cli" : : : "memory", "cc");
    EXPECT(handler_eflags & EF_IF);
    set_eflags(2 | EF_DF);
    __asm__ volatile("int 0x50" : : : "memory", "cc");
    EXPECT(eflags() & EF_DF);
    set_eflags(2);
}

USER_FUNCTION(call_50h, "int 0x50" USER_END);
USER_FUNCTION(call_int3, "int3" USER_END);

void gate_privilege(void)
{
    user_run(call_50h, 0);
    EXPECT_TRAP(EXC_GP, 0x50 * 8 + 2);
    EXPECT_EQ(last.eip, call_50h);
    user_run(call_int3, 0);
    EXPECT_TRAP(EXC_BP, 0);
    idt[EXC_BP] = gate(KERNEL_CODE, vector_table[EXC_BP], GATE_INT, 0);
    user_run(call_int3, 0);
    EXPECT_TRAP(EXC_GP, EXC_BP * 8 + 2);
}

USER_FUNCTION(user_ud, "mov ebx, 0x1234\nud2" USER_END);

static uint32_t handler_esp, handler_ss;

static bool note_stack(struct frame *frame)
{
    handler_esp = (uint32_t)(frame + 1);
    __asm__ volatile("mov %0, ss" : "=r"(handler_ss));
    return false;
}

void stack_switch(void)
{
    trap_hook = note_stack;
    user_run(user_ud, 0);
    EXPECT_TRAP(EXC_UD, 0);
    EXPECT_EQ(last.cs, USER_CODE);
    EXPECT_EQ(last.user_ss, USER_DATA);
    EXPECT_EQ(last.user_esp, user_stack_end);
    EXPECT_EQ(last.ebx, 0x1234);
    EXPECT_EQ(handler_esp, tss.esp0);
    EXPECT_EQ(handler_ss, KERNEL_DATA);
}

/* Selector 30h is the call gate in all these. */
USER_FUNCTION(use_call_gate, "push 0x1111\n"
                             "push 0x2222\n"
                             "mov ebx, esp\n"
                             "call 0x33:0\n"
                             "sub ebx, esp\n" USER_END);

void call_gate(void)
{
    slot_set(SLOT_TEST,
             gate(KERNEL_CODE, (uint32_t)gate_entry, GATE_CALL | SEG_DPL3, 2));
    user_run(use_call_gate, 0);
    EXPECT_USER_RESULT(0x6A7E);
    EXPECT_EQ(gate_seen[0] & 0xFFFF, KERNEL_CODE);
    EXPECT_EQ(gate_seen[1] & 0xFFFF, KERNEL_DATA);
    EXPECT_EQ(gate_seen[2], tss.esp0 - 7 * 4); /* ss esp 2 params cs eip ds */
    EXPECT_EQ(gate_seen[3], 0x2222);
    EXPECT_EQ(gate_seen[4], 0x1111);
    EXPECT_EQ(last.ebx, -8); /* RETF 8 dropped the parameters here too */
}

void call_gate_checks(void)
{
    slot_set(SLOT_TEST, gate(KERNEL_CODE, (uint32_t)gate_entry, GATE_CALL, 2));
    user_run(use_call_gate, 0);
    EXPECT_TRAP(EXC_GP, 0x30);
    slot_set(SLOT_TEST, gate(KERNEL_CODE, (uint32_t)gate_entry,
                             (GATE_CALL | SEG_DPL3) & SEG_ABSENT_MASK, 2));
    user_run(use_call_gate, 0);
    EXPECT_TRAP(EXC_NP, 0x30);
    slot_set(SLOT_TEST, gate(0, (uint32_t)gate_entry, GATE_CALL | SEG_DPL3, 2));
    user_run(use_call_gate, 0);
    EXPECT_TRAP(EXC_GP, 0);
    slot_set(SLOT_TEST,
             gate(KERNEL_DATA, (uint32_t)gate_entry, GATE_CALL | SEG_DPL3, 2));
    user_run(use_call_gate, 0);
    EXPECT_TRAP(EXC_GP, KERNEL_DATA);
}

/* A call gate to ring 1 whose stack in the TSS is unusable; the exception
 * itself goes to ring 0, whose stack is fine. */
void invalid_tss(void)
{
    uint32_t ring1 = slot_set(
        SLOT_TEST + 1, segment(0, 0xFFFFF, SEG_CODE_XR | 0x20, SEG_FLAT));

    slot_set(SLOT_TEST,
             gate(ring1, (uint32_t)gate_entry, GATE_CALL | SEG_DPL3, 0));
    tss.esp1 = (uint32_t)boot_stack_end;
    tss.ss1 = 0;
    user_run(use_call_gate, 0);
    EXPECT_TRAP(EXC_TS, 0);
    tss.ss1 = KERNEL_DATA; /* DPL 0 is not ring 1's */
    user_run(use_call_gate, 0);
    EXPECT_TRAP(EXC_TS, KERNEL_DATA);
    tss.ss1 = SLOT_COUNT * 8;
    user_run(use_call_gate, 0);
    EXPECT_TRAP(EXC_TS, SLOT_COUNT * 8);
}

void far_transfers(void)
{
    uint32_t cs = 0;
    uint32_t way = 0;

    __asm__ volatile("call 8:1f\n\t"
                     "jmp 8:2f\n"
                     "1: mov %0, [esp + 4]\n\t"
                     "add %1, 1\n\t"
                     "retf\n"
                     "2: push 8\n\t"
                     "push offset 3f\n\t"
                     "add %1, 16\n\t"
                     "retf\n"
                     "3: push 5\n\t"
                     "push 8\n\t"
                     "push offset 4f\n\t"
                     "retf 4\n"
                     "4: pushfd\n\t"
                     "push 8\n\t"
                     "push offset 5f\n\t"
                     "add %1, 256\n\t"
                     "iretd\n"
                     "5:"
                     : "=&r"(cs), "+&r"(way)
                     :
                     : "memory", "cc");
    EXPECT_EQ(cs & 0xFFFF, KERNEL_CODE);
    EXPECT_EQ(way, 0x111);
}

void far_faults(void)
{
    uint32_t absent =
        slot_set(SLOT_TEST,
                 segment(0, 0xFFFFF, SEG_CODE_XR & SEG_ABSENT_MASK, SEG_FLAT));

    TRY("push %0; push 0; retf", : : "r"(absent));
    EXPECT_TRAP(EXC_NP, absent);
    EXPECT_EQ(last.cs, KERNEL_CODE);
    TRY("push %0; push 0; retf", : : "i"(KERNEL_DATA));
    EXPECT_TRAP(EXC_GP, KERNEL_DATA);
    TRY("push 0; push 0; retf", :);
    EXPECT_TRAP(EXC_GP, 0);
    TRY("jmp 0x1b:0", :); /* DPL 3 is not CPL 0 */
    EXPECT_FAULT(EXC_GP, USER_CODE & ~3u);
    TRY("call 0x100:0", :);
    EXPECT_FAULT(EXC_GP, SLOT_COUNT * 8);
}

USER_FUNCTION(read_selectors, "mov eax, fs\n"
                              "mov ebx, gs\n"
                              "mov ecx, ds\n"
                              "mov edx, cs" USER_END);

void iret_clears(void)
{
    __asm__ volatile("mov fs, %0" : : "r"(KERNEL_DATA));
    __asm__ volatile("mov gs, %0" : : "r"(USER_DATA));
    user_run(read_selectors, 0);
    EXPECT_USER_RESULT(0);
    EXPECT_EQ(last.ebx & 0xFFFF, USER_DATA);
    EXPECT_EQ(last.ecx & 0xFFFF, USER_DATA);
    EXPECT_EQ(last.edx & 0xFFFF, USER_CODE);
}

void iret_faults(void)
{
    TRY("pushfd; push 0; push 0; iretd", :);
    EXPECT_TRAP(EXC_GP, 0);
    TRY("pushfd; push 0x10; push 0; iretd", :);
    EXPECT_TRAP(EXC_GP, KERNEL_DATA);
    TRY("push 0x10; push 0; pushfd; push 0x1b; push 0; iretd", :);
    EXPECT_TRAP(EXC_GP, KERNEL_DATA); /* ring 3 with ring 0's SS */
    TRY("pushfd; push 0x100; push 0; iretd", :);
    EXPECT_TRAP(EXC_GP, 0x100);
}

USER_FUNCTION(use_sysenter, "mov ecx, esp\n"
                            "mov edx, offset 1f\n"
                            "mov ebx, 0x5E5\n"
                            "sysenter\n"
                            "ud2\n"
                            "1: mov eax, cs\n"
                            "mov esi, ss" USER_END);

void sysenter(void)
{
    wrmsr(MSR_SYSENTER_CS, 0);
    user_run(use_sysenter, 0);
    EXPECT_TRAP(EXC_GP, 0);
    wrmsr(MSR_SYSENTER_CS, KERNEL_CODE);
    wrmsr(MSR_SYSENTER_ESP, (uint32_t)boot_stack_end - 0x20000);
    wrmsr(MSR_SYSENTER_EIP, (uint32_t)sysenter_entry);
    user_run(use_sysenter, 0);
    EXPECT_USER_RESULT(USER_CODE);
    EXPECT_EQ(last.esi, USER_DATA);
    EXPECT_EQ(last.ebx, 0x5E5);
    EXPECT_EQ(last.user_esp, user_stack_end);
    EXPECT_EQ(sysenter_seen[0] & 0xFFFF, KERNEL_CODE);
    EXPECT_EQ(sysenter_seen[1] & 0xFFFF, KERNEL_DATA);
    EXPECT_EQ(sysenter_seen[2], boot_stack_end - 0x20000);
    EXPECT(!(sysenter_seen[3] & EF_IF));
}

USER_FUNCTION(conforming_target, "mov eax, cs\nretf");
USER_FUNCTION(call_conforming, "call 0x33:conforming_target" USER_END);

void conforming(void)
{
    slot_set(SLOT_TEST, segment(0, 0xFFFFF, SEG_CODE_CONFORMING, SEG_FLAT));
    user_run(call_conforming, 0);
    EXPECT_USER_RESULT(0x33); /* DPL 0 code, and still CPL 3 */
}
