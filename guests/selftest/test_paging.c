/* SPDX-License-Identifier: MIT */
/* Paging in both 32-bit formats. SDM Vol.3A chapter "Paging". */
#include "lib/desc.h"
#include "lib/lib.h"
#include "tap.h"
#include "tests.h"

#define RW  (PG_P | PG_W)
#define RWU (PG_P | PG_W | PG_U)

enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_ID = 16 };

#define TRY_READ(va)  TRY("mov eax, [%0]", : : "r"(va) : "eax")
#define TRY_WRITE(va) TRY("mov [%0], eax", : : "r"(va) : "memory")
#define TRY_CALL(va)  TRY("call %0", : : "r"(va) : "memory", "eax")

USER_FUNCTION(user_load, "mov ecx, [eax]" USER_END);
USER_FUNCTION(user_store, "mov [eax], ecx" USER_END);
USER_FUNCTION(user_jump, "jmp eax");

void kernel_errors(void)
{
    TRY_READ(TEST_VA + 8);
    EXPECT_PAGE_FAULT(0, TEST_VA + 8);
    EXPECT_EQ(last.eip, try_start);
    TRY_WRITE(TEST_VA + 12);
    EXPECT_PAGE_FAULT(PF_W, TEST_VA + 12);
    map(TEST_VA, frame_alloc(), PG_P);
    TRY_READ(TEST_VA);
    EXPECT_NO_TRAP();
    TRY_WRITE(TEST_VA + 4);
    EXPECT_PAGE_FAULT(PF_P | PF_W, TEST_VA + 4);
    TRY_READ(TEST_VA + PAGE); /* table there, page not */
    EXPECT_PAGE_FAULT(0, TEST_VA + PAGE);
    TRY_CALL(TEST_VA + PAGE);
    EXPECT_PAGE_FAULT(paging_has_nx() ? PF_ID : 0, TEST_VA + PAGE);
    EXPECT_EQ(last.eip, TEST_VA + PAGE);
}

void user_errors(void)
{
    user_run(user_load, TEST_VA);
    EXPECT_PAGE_FAULT(PF_U, TEST_VA);
    user_run(user_store, TEST_VA);
    EXPECT_PAGE_FAULT(PF_U | PF_W, TEST_VA);
    map(TEST_VA, frame_alloc(), PG_P | PG_U);
    user_run(user_load, TEST_VA);
    EXPECT_EQ(last.vector, VECTOR_EXIT);
    user_run(user_store, TEST_VA);
    EXPECT_PAGE_FAULT(PF_P | PF_U | PF_W, TEST_VA);
    map(TEST_VA, frame_alloc(), RW);
    user_run(user_load, TEST_VA);
    EXPECT_PAGE_FAULT(PF_P | PF_U, TEST_VA);
    user_run(user_store, TEST_VA);
    EXPECT_PAGE_FAULT(PF_P | PF_U | PF_W, TEST_VA);
    user_run(user_jump, TEST_VA);
    EXPECT_PAGE_FAULT(PF_P | PF_U | (paging_has_nx() ? PF_ID : 0), TEST_VA);
}

void write_protect(void)
{
    uint32_t frame = frame_alloc();

    map(TEST_VA, frame, PG_P | PG_U);
    write_cr0(read_cr0() & ~(uint32_t)CR0_WP);
    TRY("mov dword ptr [%0], 77", : : "r"(TEST_VA) : "memory");
    EXPECT_NO_TRAP();
    EXPECT_EQ(*mem32(frame), 77);
    EXPECT(pte_get(TEST_VA) & PG_D);
    user_run(user_store, TEST_VA);
    EXPECT_PAGE_FAULT(PF_P | PF_U | PF_W, TEST_VA);
    write_cr0(read_cr0() | CR0_WP);
    TRY_WRITE(TEST_VA);
    EXPECT_PAGE_FAULT(PF_P | PF_W, TEST_VA);
}

void combined_rights(void)
{
    uint64_t pde;

    map(TEST_VA, frame_alloc(), RWU);
    pde = pde_get(TEST_VA);
    pde_set(TEST_VA, pde & ~(uint64_t)PG_W);
    TRY_WRITE(TEST_VA);
    EXPECT_PAGE_FAULT(PF_P | PF_W, TEST_VA);
    pde_set(TEST_VA, pde & ~(uint64_t)PG_U);
    user_run(user_load, TEST_VA);
    EXPECT_PAGE_FAULT(PF_P | PF_U, TEST_VA);
    TRY_WRITE(TEST_VA);
    EXPECT_NO_TRAP();
    pde_set(TEST_VA, pde & ~(uint64_t)PG_P);
    TRY_READ(TEST_VA);
    EXPECT_PAGE_FAULT(0, TEST_VA);
    pde_set(TEST_VA, pde);
    user_run(user_store, TEST_VA);
    EXPECT_EQ(last.vector, VECTOR_EXIT);
}

void accessed_dirty(void)
{
    map(TEST_VA, frame_alloc(), RW);
    map(TEST_VA + PAGE, frame_alloc(), RW);
    map(TEST_VA + 2 * PAGE, frame_alloc(), PG_P);
    pde_set(TEST_VA, pde_get(TEST_VA) & ~(uint64_t)PG_A);
    EXPECT_EQ(pte_get(TEST_VA) & (PG_A | PG_D), 0);
    (void)*mem32(TEST_VA);
    EXPECT_EQ(pte_get(TEST_VA) & (PG_A | PG_D), PG_A);
    EXPECT(pde_get(TEST_VA) & PG_A);
    EXPECT_EQ(pte_get(TEST_VA + PAGE) & (PG_A | PG_D), 0);
    *mem32(TEST_VA) = 1;
    EXPECT_EQ(pte_get(TEST_VA) & (PG_A | PG_D), PG_A | PG_D);
    *mem32(TEST_VA + PAGE) = 1;
    EXPECT_EQ(pte_get(TEST_VA + PAGE) & (PG_A | PG_D), PG_A | PG_D);
    TRY_WRITE(TEST_VA + 2 * PAGE);
    EXPECT_EQ(pte_get(TEST_VA + 2 * PAGE) & PG_D, 0);
    pte_set(TEST_VA, pte_get(TEST_VA) & ~(uint64_t)(PG_A | PG_D));
    *mem32(TEST_VA) = 2;
    EXPECT_EQ(pte_get(TEST_VA) & (PG_A | PG_D), PG_A | PG_D);
}

void large_pages(void)
{
    uint32_t frame = frame_large();
    uint32_t last_word = large_page_size() - 4;

    map_large(TEST_VA, frame, RW);
    *mem32(TEST_VA) = 0x600D;
    *mem32(TEST_VA + last_word) = 0xCAFE;
    EXPECT(pde_get(TEST_VA) & PG_D);
    user_run(user_load, TEST_VA);
    EXPECT_PAGE_FAULT(PF_P | PF_U, TEST_VA);
    map_large(TEST_VA, frame, PG_P | PG_U);
    EXPECT_EQ(*mem32(TEST_VA), 0x600D);
    TRY_WRITE(TEST_VA + last_word);
    EXPECT_PAGE_FAULT(PF_P | PF_W, TEST_VA + last_word);
    /* One of its 4 KiB frames through a small page elsewhere. */
    map(2 * TEST_VA, frame + large_page_size() - PAGE, RW);
    EXPECT_EQ(*mem32(2 * TEST_VA + PAGE - 4), 0xCAFE);
    /* The large page gives way to a table with the same frames. */
    pde_set(TEST_VA, 0);
    map(TEST_VA, frame, RW);
    EXPECT_EQ(*mem32(TEST_VA), 0x600D);
    TRY_READ(TEST_VA + PAGE);
    EXPECT_PAGE_FAULT(0, TEST_VA + PAGE);
}

void reserved_bits(void)
{
    map_large(TEST_VA, frame_large() | 1u << 20, RW);
    if (paging_mode() == PAGING_32)
        map_large(TEST_VA, frame_large() | 1u << 21, RW);
    TRY_READ(TEST_VA);
    EXPECT_PAGE_FAULT(PF_P | PF_RSVD, TEST_VA);
    TRY_WRITE(TEST_VA);
    EXPECT_PAGE_FAULT(PF_P | PF_RSVD | PF_W, TEST_VA);
    if (paging_mode() == PAGING_PAE) {
        map(2 * TEST_VA, frame_alloc(), RW | 1ull << 55);
        TRY_READ(2 * TEST_VA);
        EXPECT_PAGE_FAULT(PF_P | PF_RSVD, 2 * TEST_VA);
    }
}

void no_execute(void)
{
    uint32_t frame = frame_alloc();

    *mem8(frame) = 0xC3; /* ret */
    map(TEST_VA, frame, RWU);
    TRY_CALL(TEST_VA);
    EXPECT_NO_TRAP();
    map(TEST_VA, frame, RWU | PG_NX);
    TRY_READ(TEST_VA);
    EXPECT_NO_TRAP();
    TRY_CALL(TEST_VA);
    EXPECT_PAGE_FAULT(PF_P | PF_ID, TEST_VA);
    user_run(user_jump, TEST_VA);
    EXPECT_PAGE_FAULT(PF_P | PF_U | PF_ID, TEST_VA);
    map(TEST_VA, frame, RWU);
    pde_set(TEST_VA, pde_get(TEST_VA) | PG_NX);
    TRY_CALL(TEST_VA);
    EXPECT_PAGE_FAULT(PF_P | PF_ID, TEST_VA);
}

void nx_reserved(void)
{
    map(TEST_VA, frame_alloc(), RWU | PG_NX);
    TRY_READ(TEST_VA);
    EXPECT_NO_TRAP();
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(uint64_t)EFER_NXE);
    write_cr3(read_cr3());
    TRY_READ(TEST_VA);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
    EXPECT_PAGE_FAULT(PF_P | PF_RSVD, TEST_VA);
}

void remap(void)
{
    uint32_t a = frame_alloc();
    uint32_t b = frame_alloc();

    *mem32(a) = 0xA;
    *mem32(b) = 0xB;
    for (int i = 0; i < 20; i++) {
        map(TEST_VA, i & 1 ? b : a, RW);
        EXPECT_EQ(*mem32(TEST_VA), i & 1 ? 0xB : 0xA);
    }
    map(TEST_VA, a, 0);
    TRY_READ(TEST_VA);
    EXPECT_PAGE_FAULT(0, TEST_VA);
}

void remap_cr3(void)
{
    uint32_t a = frame_alloc();
    uint32_t b = frame_alloc();

    map(TEST_VA, a, RW);
    *mem32(TEST_VA) = 0xA;
    map(2 * TEST_VA, b, RW);
    *mem32(2 * TEST_VA) = 0xB;
    pde_set(TEST_VA, pde_get(2 * TEST_VA)); /* loads CR3 */
    EXPECT_EQ(*mem32(TEST_VA), 0xB);
    *mem32(TEST_VA) = 0xC;
    EXPECT_EQ(*mem32(b), 0xC);
    EXPECT_EQ(*mem32(a), 0xA);
}

void two_spaces(void)
{
    uint32_t first = read_cr3();
    uint32_t second = paging_clone();

    map(TEST_VA, frame_alloc(), RW);
    *mem32(TEST_VA) = 1;
    write_cr3(second);
    TRY_READ(TEST_VA);
    EXPECT_PAGE_FAULT(0, TEST_VA);
    map(TEST_VA, frame_alloc(), RW);
    *mem32(TEST_VA) = 2;
    for (int i = 0; i < 50; i++) {
        write_cr3(first);
        EXPECT_EQ(*mem32(TEST_VA), 1 + i);
        *mem32(TEST_VA) = *mem32(TEST_VA) + 1;
        write_cr3(second);
        EXPECT_EQ(*mem32(TEST_VA), 2);
    }
}

void global_pages(void)
{
    uint32_t a = frame_alloc();
    uint32_t b = frame_alloc();

    *mem32(a) = 0xA;
    *mem32(b) = 0xB;
    write_cr4(read_cr4() | CR4_PGE);
    map(TEST_VA, a, RW | PG_G);
    EXPECT_EQ(*mem32(TEST_VA), 0xA);
    write_cr3(read_cr3());
    EXPECT_EQ(*mem32(TEST_VA), 0xA);
    map(TEST_VA, b, RW | PG_G); /* INVLPG drops global ones too */
    EXPECT_EQ(*mem32(TEST_VA), 0xB);
    map(TEST_VA, a, RW);
    write_cr4(read_cr4() & ~(uint32_t)CR4_PGE);
    EXPECT_EQ(*mem32(TEST_VA), 0xA);
}

void aliases(void)
{
    uint32_t frame = frame_alloc();

    map(TEST_VA, frame, RW);
    map(TEST_VA + 5 * PAGE, frame, RW);
    map(2 * TEST_VA, frame, PG_P);
    for (uint32_t i = 0; i < 10; i++) {
        *mem32(TEST_VA + 4 * i) = i;
        EXPECT_EQ(*mem32(TEST_VA + 5 * PAGE + 4 * i), i);
        EXPECT_EQ(*mem32(2 * TEST_VA + 4 * i), i);
        EXPECT_EQ(*mem32(frame + 4 * i), i);
        *mem32(frame + 4 * i) = ~i;
        EXPECT_EQ(*mem32(TEST_VA + 4 * i), ~i);
    }
}

void crossing_data(void)
{
    uint32_t high = frame_alloc(); /* frames in the other order */
    uint32_t low = frame_alloc();
    uint32_t edge = TEST_VA + PAGE;

    map(TEST_VA, low, RW);
    map(edge, high, RW);
    for (uint32_t i = 1; i < 4; i++) {
        *mem32(edge - i) = 0x44332211;
        EXPECT_EQ(*mem32(edge - i), 0x44332211);
        EXPECT_EQ(*mem8(low + PAGE - i), 0x11);
        EXPECT_EQ(*mem8(high), 0x11 * (i + 1));
    }
    map(edge, high, 0);
    TRY_READ(edge - 2);
    EXPECT_PAGE_FAULT(0, edge);
    map(TEST_VA, low, 0);
    TRY_READ(edge - 2);
    EXPECT_EQ(last.vector, EXC_PF);
    EXPECT_EQ(last_cr2, edge - 2);
}

void crossing_store(void)
{
    uint32_t low = frame_alloc();
    uint32_t edge = TEST_VA + PAGE;

    map(TEST_VA, low, RW);
    *mem32(low + PAGE - 4) = 0x99999999;
    TRY("mov dword ptr [%0], 0x12345678", : : "r"(edge - 2) : "memory");
    EXPECT_PAGE_FAULT(PF_W, edge);
    EXPECT_EQ(*mem32(low + PAGE - 4), 0x99999999);
    map(edge, frame_alloc(), PG_P);
    TRY("add dword ptr [%0], 0x12345678", : : "r"(edge - 1) : "memory", "cc");
    EXPECT_PAGE_FAULT(PF_P | PF_W, edge);
    EXPECT_EQ(*mem32(low + PAGE - 4), 0x99999999);
}

void stack_fault(void)
{
    uint32_t esp;

    map(TEST_VA, frame_alloc(), RW);
    /* The operand faults, never the stack: the handler needs that. */
    TRY("mov ecx, esp; mov edx, [ecx - 4]; push [%0]",
        :
        : "r"(TEST_VA + PAGE)
        : "ecx", "edx", "memory");
    EXPECT_PAGE_FAULT(0, TEST_VA + PAGE);
    esp = last.esp + 5 * 4; /* PUSHAD's, below what the exception pushed */
    EXPECT_EQ(last.ecx, esp);
    TRY("mov ecx, esp; push 5; pop [%0]",
        :
        : "r"(TEST_VA + PAGE)
        : "ecx", "memory");
    EXPECT_PAGE_FAULT(PF_W, TEST_VA + PAGE);
    EXPECT_EQ(last.ecx - 4, last.esp + 5 * 4);
    TRY("mov ecx, esp; call [%0]", : : "r"(TEST_VA + PAGE) : "ecx", "memory");
    EXPECT_PAGE_FAULT(0, TEST_VA + PAGE);
    EXPECT_EQ(last.ecx, last.esp + 5 * 4);
}

void rmw_fault(void)
{
    uint32_t frame = frame_alloc();

    *mem32(frame) = 5;
    map(TEST_VA, frame, PG_P);
    TRY("add dword ptr [%0], 1", : : "r"(TEST_VA) : "memory", "cc");
    EXPECT_PAGE_FAULT(PF_P | PF_W, TEST_VA);
    TRY("xchg eax, [%0]", : : "r"(TEST_VA) : "memory", "eax");
    EXPECT_PAGE_FAULT(PF_P | PF_W, TEST_VA);
    TRY("cmpxchg [%0], ecx",
        :
        : "r"(TEST_VA), "a"(99), "c"(1)
        : "memory", "cc");
    EXPECT_PAGE_FAULT(PF_P | PF_W, TEST_VA); /* a failed compare writes too */
    TRY("cmp dword ptr [%0], 5", : : "r"(TEST_VA) : "cc");
    EXPECT_NO_TRAP();
    TRY("inc dword ptr [%0]", : : "r"(TEST_VA + PAGE) : "memory", "cc");
    EXPECT_PAGE_FAULT(PF_W, TEST_VA + PAGE);
    EXPECT_EQ(*mem32(frame), 5);
}

/* The last directory entry points to the directory: the tables appear as
 * pages, as in Windows and many small kernels. */
void self_map(void)
{
    uint32_t root = read_cr3() & ~(PAGE - 1);
    uint32_t a = frame_alloc();
    uint32_t b = frame_alloc();
    volatile uint32_t *ptes = mem32(0xFFC00000);

    map(TEST_VA, a, RW);
    *mem32(a) = 0xA;
    *mem32(b) = 0xB;
    pde_set(0xFFC00000, root | RW);
    EXPECT_EQ(ptes[TEST_VA >> 12] & ~(PAGE - 1), a);
    EXPECT_EQ(*mem32(TEST_VA), 0xA);
    for (int i = 0; i < 10; i++) {
        ptes[TEST_VA >> 12] = (i & 1 ? a : b) | RW;
        invlpg(TEST_VA);
        EXPECT_EQ(*mem32(TEST_VA), i & 1 ? 0xA : 0xB);
    }
    ptes[(TEST_VA >> 12) + 1] = b | RW; /* not present before: no INVLPG */
    EXPECT_EQ(*mem32(TEST_VA + PAGE), 0xB);
}

void revoke(void)
{
    uint32_t frame = frame_alloc();

    for (uint32_t i = 0; i < 20; i++) {
        map(TEST_VA, frame, RWU);
        *mem32(TEST_VA) = i;
        user_run(user_store, TEST_VA);
        EXPECT_EQ(last.vector, VECTOR_EXIT);
        map(TEST_VA, frame, PG_P | PG_U);
        user_run(user_store, TEST_VA);
        EXPECT_PAGE_FAULT(PF_P | PF_U | PF_W, TEST_VA);
        map(TEST_VA, frame, PG_P);
        user_run(user_load, TEST_VA);
        EXPECT_PAGE_FAULT(PF_P | PF_U, TEST_VA);
        map(TEST_VA, frame, 0);
        TRY_READ(TEST_VA);
        EXPECT_PAGE_FAULT(0, TEST_VA);
    }
}

void pdpte_load(void)
{
    uint32_t root = read_cr3();
    uint64_t pdpte = *mem32(root + 8);

    map(TEST_VA, frame_alloc(), RW);
    *mem32(TEST_VA) = 4;
    *mem32(root + 8) = 0;
    invlpg(TEST_VA);
    EXPECT_EQ(*mem32(TEST_VA), 4); /* the register still holds the entry */
    write_cr3(root);
    TRY_READ(TEST_VA);
    EXPECT_PAGE_FAULT(0, TEST_VA);
    *mem32(root + 8) = (uint32_t)pdpte | PG_W; /* reserved in a PDPTE */
    TRY("mov cr3, %0", : : "r"(root) : "memory");
    EXPECT_FAULT(EXC_GP, 0);
    *mem32(root + 8) = (uint32_t)pdpte;
    write_cr3(root);
    EXPECT_EQ(*mem32(TEST_VA), 4);
}

void off_and_on(void)
{
    uint32_t frame = frame_alloc();

    map(TEST_VA, frame, RW);
    *mem32(TEST_VA) = 0x77;
    for (uint32_t i = 0; i < 5; i++) {
        write_cr0(read_cr0() & ~CR0_PG);
        EXPECT_EQ(*mem32(frame), 0x77 + i);
        *mem32(frame) = 0x78 + i;
        write_cr0(read_cr0() | CR0_PG);
        EXPECT_EQ(*mem32(TEST_VA), 0x78 + i);
    }
}
