/* SPDX-License-Identifier: MIT */
/* Ring 0 reaches pages of ring 3 with every form of memory operand, its stack
 * included. SDM Vol.3A "Access Rights". */
#include "lib/lib.h"
#include "tap.h"
#include "tests.h"

#define RW  (PG_P | PG_W)
#define RWU (PG_P | PG_W | PG_U)

/*
 * Each form runs ROUNDS times, since a translator may change its mind about it,
 * in an area of supervisor pages and in one of user pages that begins with the
 * same bytes; then once more with the user area's first page missing until a page
 * fault asks for it. Registers and memory must be the same.
 *
 *      page 0, 1  EBX, ESI, EDI and EBP point here, EBX across the border
 *      page 2, 3  the stack, which is never missing
 */
#define ROUNDS     12
#define AREA_PAGES 4
#define KERNEL_VA  TEST_VA
#define USER_VA    (TEST_VA + 0x10000)
#define EBX_AT     (PAGE - 2)
#define ESI_AT     0x400
#define EDI_AT     0x600
#define EBP_AT     0x800
#define ESP_AT     (AREA_PAGES * PAGE - 0x100)

/* Entered with the registers as above, EAX = 37, ECX = 3, EDX = area_landing. */
#define FORM(name, text)                                                    \
    __asm__(".pushsection .text\n.intel_syntax noprefix\n" #name ":\n" text \
            "\njmp area_landing\n.popsection");                             \
    extern const char name[]

FORM(load, "mov eax, [ebx]");
FORM(load_byte, "movzx eax, byte ptr [ebx + ecx]");
FORM(store, "mov [ebx], eax");
FORM(store_byte, "mov [ebx], al");
FORM(store_imm, "mov word ptr [ebx + 4], 0x1234");
FORM(modify, "add [ebx], eax; adc [esi], ecx; neg dword ptr [edi]");
FORM(locked, "lock xadd [ebx], eax; lock inc dword ptr [esi]");
FORM(exchange, "xchg [ebx], eax; cmpxchg [esi], ecx");
FORM(shift, "shld [ebx], eax, 5; rcr dword ptr [esi], cl");
FORM(divide, "mov dword ptr [esi], 7; xor edx, edx; div dword ptr [esi]");
FORM(bit_imm, "bts dword ptr [ebx], 9; setc byte ptr [esi]");
FORM(bit_reg, "bts [ebx], eax; setc byte ptr [esi]; btr [ebx], ecx");
FORM(bit_back, "neg eax; btc [ebx], eax; setc byte ptr [esi]; bt [ebx], eax");
FORM(bit_word, "btc [ebx], ax; neg ax; bts [ebx], ax");
FORM(string_move, "movsb; movsw; movsd; std; movsd; cld");
FORM(string_other, "stosd; lodsw; scasb; cmpsd");
FORM(string_rep, "mov ecx, 50; rep movsd; mov ecx, 9; rep stosb");
FORM(string_find, "mov ecx, 40; repne scasb; mov ecx, 20; repe cmpsb");
FORM(push_pop, "push eax; push 5; push dword ptr [ebx]; pop ecx; "
               "pop dword ptr [esi]; pop dword ptr [edi]");
FORM(push_flags, "cmp eax, ecx; pushf; pop eax");
FORM(pop_by_esp, "push eax; push ecx; pop dword ptr [esp + 4]; "
                 "pop eax");
FORM(push_many, "pusha; popa");
FORM(push_segment, "push ds; pop ecx");
FORM(frame_leave, "push ebp; mov ebp, esp; sub esp, 16; leave");
FORM(frame_enter, "enter 12, 0; leave");
FORM(call_near, "call near_f; jmp near_e; near_f: mov eax, [ebx]; ret; "
                "near_e:");
FORM(call_pop, "push 1; call pop_f; jmp pop_e; pop_f: inc eax; ret 4; pop_e:");
FORM(call_memory, "mov dword ptr [ebx], offset memory_f; call dword ptr [ebx]; "
                  "jmp memory_e; memory_f: inc eax; ret; memory_e:");
FORM(jump_memory, "mov [ebx], edx; jmp dword ptr [ebx]");
FORM(absolute_segment, "mov eax, ss:[ebx]; mov es:[ebx], ecx");

static const void *const forms[] = {
    load,         load_byte,  store,        store_byte,  store_imm,
    modify,       locked,     exchange,     shift,       divide,
    bit_imm,      bit_reg,    bit_back,     bit_word,    string_move,
    string_other, string_rep, string_find,  push_pop,    push_flags,
    pop_by_esp,   push_many,  push_segment, frame_leave, frame_enter,
    call_near,    call_pop,   call_memory,  jump_memory, absolute_segment,
};
#define FORM_COUNT (sizeof(forms) / sizeof(forms[0]))

/* EDI ESI EBP ESP EBX EDX ECX EAX, before and after a form. */
enum { EDI, ESI, EBP, ESP, EBX, EDX, ECX, EAX, REGS };
uint32_t area_regs[REGS], area_esp, area_code;

void area_run(void);
__asm__(".pushsection .text\n.intel_syntax noprefix\n"
        "area_run:\n"
        "pusha\n"
        "mov [area_esp], esp\n"
        "mov edi, [area_regs]\n"
        "mov esi, [area_regs + 4]\n"
        "mov ebp, [area_regs + 8]\n"
        "mov esp, [area_regs + 12]\n"
        "mov ebx, [area_regs + 16]\n"
        "mov edx, offset area_landing\n"
        "mov ecx, 3\n"
        "mov eax, 37\n"
        "jmp dword ptr [area_code]\n"
        "area_landing:\n"
        "mov [area_regs], edi\n"
        "mov [area_regs + 4], esi\n"
        "mov [area_regs + 8], ebp\n"
        "mov [area_regs + 12], esp\n"
        "mov [area_regs + 16], ebx\n"
        "mov [area_regs + 20], edx\n"
        "mov [area_regs + 24], ecx\n"
        "mov [area_regs + 28], eax\n"
        "mov esp, [area_esp]\n"
        "popa\n"
        "ret\n"
        ".popsection");

/* Run a form in an area; regs gets its registers, pointers as offsets. */
static void run(const void *code, uint32_t area, uint32_t regs[REGS])
{
    static const uint32_t start[] = {
        [EDI] = EDI_AT, [ESI] = ESI_AT, [EBP] = EBP_AT,
        [ESP] = ESP_AT, [EBX] = EBX_AT,
    };

    for (uint32_t i = EDI; i <= EBX; i++)
        area_regs[i] = area + start[i];
    area_code = (uint32_t)code;
    area_run();
    memcpy(regs, area_regs, sizeof(area_regs));
    for (uint32_t i = EDI; i <= EBX; i++)
        regs[i] -= area;
}

static bool same(const uint32_t a[REGS], const uint32_t b[REGS])
{
    return memcmp(a, b, sizeof(area_regs)) == 0 &&
           memcmp((void *)KERNEL_VA, (void *)USER_VA, 2 * PAGE) == 0;
}

static void fill(uint32_t area)
{
    for (uint32_t i = 0; i < 2 * PAGE; i++)
        *mem8(area + i) = (uint8_t)(i * 7 + (i >> 5));
}

/* What the first page of the user area was, and is again. */
static uint64_t missing;

static bool bring_back(struct frame *frame)
{
    if (frame->vector != EXC_PF || last_cr2 / PAGE != USER_VA / PAGE)
        return false;
    pte_set(USER_VA, missing);
    return true;
}

/* Both areas with the user area's first page missing. */
static bool same_on_demand(const void *code)
{
    uint32_t kernel[REGS], user[REGS];

    run(code, KERNEL_VA, kernel);
    missing = pte_get(USER_VA);
    pte_set(USER_VA, missing & ~(uint64_t)PG_P);
    trap_reset();
    trap_hook = bring_back;
    run(code, USER_VA, user);
    trap_hook = 0;
    pte_set(USER_VA, missing);
    return trap_count <= 1 && same(kernel, user);
}

void user_pages_of_ring_0(void)
{
    uint32_t kernel[REGS], user[REGS];

    for (uint32_t i = 0; i < AREA_PAGES; i++) {
        map(KERNEL_VA + i * PAGE, frame_alloc(), RW);
        map(USER_VA + i * PAGE, frame_alloc(), RWU);
    }
    for (uint32_t i = 0; i < FORM_COUNT; i++) {
        fill(KERNEL_VA);
        fill(USER_VA);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            run(forms[i], KERNEL_VA, kernel);
            run(forms[i], USER_VA, user);
            EXPECT_EQ(same(kernel, user) ? FORM_COUNT : i, FORM_COUNT);
        }
        EXPECT_EQ(same_on_demand(forms[i]) ? FORM_COUNT : i, FORM_COUNT);
    }
}
