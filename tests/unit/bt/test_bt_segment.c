/* SPDX-License-Identifier: MIT */
#include "both.h"

#include <string.h>

#include "emu/cpu/segment.h"

/* Rings, segments that are not flat, and 16-bit code. */

static void ring_1(struct vcpu *v)
{
    v->cpl = 1;
    v->eflags |= 1u << FLAG_IOPL_SHIFT;
}

static void ring_2_below_iopl(struct vcpu *v)
{
    v->cpl = 2;
    v->eflags |= 1u << FLAG_IOPL_SHIFT;
}

START_TEST(rings_1_and_2_run_in_ccfs_and_obey_iopl)
{
    /* mov ecx, 1000; 1: sti; cli; push ecx; pop eax; dec ecx; jnz 1b */
    static const uint8_t code[] = {0xb9, 0xe8, 3,    0,    0,    0xfb, 0xfa,
                                   0x51, 0x58, 0x49, 0x75, 0xf9, UD2};

    both_from(ring_1, code, sizeof(code), 4);
    both_from(ring_2_below_iopl, code, sizeof(code), 4);
}
END_TEST

static void set(struct vcpu *v, enum seg seg, uint32_t base, uint32_t limit,
                uint32_t off, uint32_t on)
{
    struct segment segment = v->seg[seg];

    segment.base = base;
    segment.limit = limit;
    segment.attr = (segment.attr & ~off) | on;
    vcpu_set_seg(v, seg, &segment);
}

static void odd_segments(struct vcpu *v)
{
    set(v, SEG_DS, DATA, 0xfff, 0, 0);
    set(v, SEG_ES, DATA + 0x1000, 0xff, 0, SEG_DOWN);
    set(v, SEG_SS, 0x40000, STACK - 0x40000 + 0xfff, 0, 0);
    set(v, SEG_FS, DATA, 0xfff, SEG_WRITABLE, 0);
    set(v, SEG_GS, 0, 0, 0, SEG_UNUSABLE);
    v->regs[REG_ESP] = STACK - 0x40000;
    v->regs[REG_ESI] = 0x200;
    v->regs[REG_EDI] = 0x200;
}

START_TEST(segments_that_are_not_flat_run_in_ccfs)
{
    /* mov ecx, 200; 1: mov [ecx*4], ecx; add es:[ecx*4 + 100h], ecx; push ecx;
     * mov eax, fs:[ecx*4]; pop ebx; push dword [ecx*4]; pop dword es:[edi];
     * movsd; bts [esi], ecx; call 2f; dec ecx; jnz 1b; ud2;
     * 2: xchg [ebx*4], eax; ret */
    static const uint8_t code[] = {
        0xb9, 0xc8, 0,    0,    0,    0x89, 0x0c, 0x8d, 0,    0,    0,
        0,    0x26, 0x01, 0x0c, 0x8d, 0,    1,    0,    0,    0x51, 0x64,
        0x8b, 0x04, 0x8d, 0,    0,    0,    0,    0x5b, 0xff, 0x34, 0x8d,
        0,    0,    0,    0,    0x26, 0x8f, 0x07, 0xa5, 0x0f, 0xab, 0x0e,
        0xe8, 5,    0,    0,    0,    0x49, 0x75, 0xd1, UD2,  0x87, 0x04,
        0x9d, 0,    0,    0,    0,    0xc3};

    both_from(odd_segments, code, sizeof(code), 20);
}
END_TEST

/* Each is one access out of line: the fault and the state must be exact. */
static const struct {
    uint8_t len;
    uint8_t code[14];
} denied[] = {
    {10, {0x50, 0xc7, 0x05, 0xfd, 0x0f, 0, 0, 1, 0, 0}            }, /* DS: limit */
    {7,  {0x50, 0x8b, 0x05, 0xfd, 0x0f, 0, 0}                     }, /* likewise */
    {7,  {0x50, 0x8b, 0x05, 0xfd, 0xff, 0xff, 0xff}               }, /* wraps */
    {7,  {0x26, 0xa1, 0xff, 0, 0, 0, 0x90}                        }, /* ES: low */
    {7,  {0x26, 0xa3, 0xfc, 0, 0, 0, 0x90}                        }, /* likewise */
    {7,  {0x64, 0xa3, 0, 0, 0, 0, 0x90}                           }, /* read-only */
    {7,  {0x65, 0xa1, 0, 0, 0, 0, 0x90}                           }, /* null */
    {6,  {0xbc, 0xff, 0xff, 0xff, 0x7f, 0x50}                     }, /* SS: PUSH */
    {11, {0xbc, 0xff, 0xff, 0xff, 0x7f, 0xe8, 0, 0, 0, 0}         }, /* CALL */
    {6,  {0xbc, 0xff, 0xff, 0xff, 0x7f, 0xc3}                     }, /* RET */
    {8,  {0x8f, 0x05, 0, 0x10, 0, 0, 0x90, 0x90}                  }, /* POP m */
    {8,  {0xff, 0x35, 0, 0x10, 0, 0, 0x90, 0x90}                  }, /* PUSH m */
    {8,  {0xbf, 0xfe, 0, 0, 0, 0xa5, 0x90, 0x90}                  }, /* MOVSD */
    {8,  {0xbe, 0xfe, 0x0f, 0, 0, 0xa5, 0x90, 0x90}               }, /* MOVSD */
    {13, {0xb8, 0, 0x80, 0, 0, 0x0f, 0xab, 0x05, 0, 0, 0, 0, 0x90}}, /* BTS */
};

START_TEST(an_access_that_its_segment_denies_faults_as_interpreted)
{
    uint8_t code[1 + sizeof(denied->code)] = {0x90}; /* NOP */

    memcpy(code + 1, denied[_i].code, denied[_i].len);
    both_from(odd_segments, code, 1u + denied[_i].len, 4);
}
END_TEST

/* CODE is at offset 8010h, and CS ends 80h behind it. */
static void code_apart(struct vcpu *v)
{
    set(v, SEG_CS, CODE - 0x8010, 0x8090, 0, 0);
    v->eip = 0x8010;
}

/* The same without an end. */
static void code_moved(struct vcpu *v)
{
    set(v, SEG_CS, CODE - 0x8010, UINT32_MAX, 0, 0);
    v->eip = 0x8010;
}

START_TEST(code_in_a_segment_of_its_own_runs_in_ccfs)
{
    /* mov ecx, 300; 1: call 2f; add eax, cs:[8010h]; mov edx, 8027h; jmp edx;
     * ud2; (8027h:) push 8030h; ret; ud2; (8030h:) dec ecx; jnz 1b; ud2;
     * 2: mov ebx, [esp]; ret */
    static const uint8_t code[] = {
        0xb9, 0x2c, 1,    0,    0,    0xe8, 0x1e, 0,    0,    0,   0x2e,
        0x03, 0x05, 0x10, 0x80, 0,    0,    0xba, 0x2a, 0x80, 0,   0,
        0xff, 0xe2, UD2,  0x68, 0x34, 0x80, 0,    0,    0xc3, UD2, 0x90,
        0x90, 0x90, 0x49, 0x75, 0xdf, UD2,  0x8b, 0x1c, 0x24, 0xc3};

    both_from(code_apart, code, sizeof(code), 4);
    both_from(code_moved, code, sizeof(code), 4);
}
END_TEST

static const struct {
    uint8_t len;
    uint8_t code[8];
} beyond[] = {
    {3, {0xeb, 0x7f}                        }, /* jmp, to the limit + 1 */
    {6, {0xe9, 0x7a, 0, 0, 0}               }, /* jmp, to the limit - 1 */
    {6, {0xe8, 0x7e, 0, 0, 0}               }, /* call */
    {7, {0xb8, 0x91, 0x80, 0, 0, 0xff, 0xe0}}, /* jmp eax */
    {7, {0xb8, 0x91, 0x80, 0, 0, 0xff, 0xd0}}, /* call eax */
    {6, {0x68, 0x91, 0x80, 0, 0, 0xc3}      }, /* ret */
    {7, {0x31, 0xc0, 0x0f, 0x84, 0x7a, 0, 0}}, /* jz */
    {7, {0x31, 0xc9, 0xe3, 0x7f}            }, /* jecxz */
    {8, {0x2e, 0x8b, 0x05, 0x8e, 0x80, 0, 0}}, /* mov eax, cs:[808eh] */
};

START_TEST(leaving_the_code_segment_faults_as_interpreted)
{
    uint8_t code[0x90] = {0x90}; /* NOP */

    memset(code, 0x90, sizeof(code));
    memcpy(code + 1, beyond[_i].code, beyond[_i].len);
    both_from(code_apart, code, sizeof(code), 4);
}
END_TEST

static void code_16(struct vcpu *v)
{
    set(v, SEG_CS, CODE - 0x10, 0xffff, SEG_DB, 0);
    v->eip = 0x10;
    v->regs[REG_ESP] = STACK + 0x100;
    v->regs[REG_EBP] = STACK;
}

static void stack_16(struct vcpu *v)
{
    set(v, SEG_SS, STACK, 0xffff, SEG_DB, 0);
    v->regs[REG_ESP] = 0x12340004;
    v->regs[REG_EBP] = 0x43210100;
}

static void all_16(struct vcpu *v)
{
    code_16(v);
    stack_16(v);
    set(v, SEG_DS, DATA, 0xffff, 0, 0);
    set(v, SEG_ES, DATA, 0xffff, 0, 0);
    v->regs[REG_ESP] = 0x12340104;
}

START_TEST(code_of_16_bits_runs_in_ccfs)
{
    /* mov cx, 300; 1: mov bx, cx; add bx, bx; mov si, 0fff8h;
     * mov [bx + si + 100h], cx; add ax, [bx + 0f8h]; push cx; push dword 5;
     * pop edx; call 2f; pop dx; lea di, [bx + si - 3]; loop 1b; jcxz 3f; ud2;
     * 2: push bp; mov bp, sp; xor ax, [bp + 4]; leave; ret; 3: inc eax; ud2 */
    static const uint8_t code[] = {
        0xb9, 0x2c, 1,    0x89, 0xcb, 0x01, 0xdb, 0xbe, 0xf8, 0xff, 0x89, 0x88,
        0,    1,    0x03, 0x87, 0xf8, 0,    0x51, 0x66, 0x6a, 5,    0x66, 0x5a,
        0xe8, 0x0a, 0,    0x5a, 0x8d, 0x78, 0xfd, 0xe2, 0xe2, 0xe3, 0x0b, UD2,
        0x90, 0x55, 0x89, 0xe5, 0x33, 0x46, 4,    0xc9, 0xc3, 0x66, 0x40, UD2};

    both_from(all_16, code, sizeof(code), 4);
    both_from(code_16, code, sizeof(code), 4);
}
END_TEST

START_TEST(a_stack_of_16_bits_wraps_and_keeps_the_upper_half)
{
    /* mov ecx, 200; 1: push eax; push ecx; push word 7; pop bx; pop edx;
     * push esp; pop esi; call 2f; pop eax; inc eax; dec ecx; jnz 1b; ud2;
     * 2: push ebp; mov ebp, esp; add eax, [ebp + 4]; leave; ret */
    static const uint8_t code[] = {
        0xb9, 0xc8, 0,    0,    0,    0x50, 0x51, 0x66, 0x6a, 7,    0x66,
        0x5b, 0x5a, 0x54, 0x5e, 0xe8, 6,    0,    0,    0,    0x58, 0x40,
        0x49, 0x75, 0xec, UD2,  0x55, 0x89, 0xe5, 0xc9, 0xc3};

    both_from(stack_16, code, sizeof(code), 4);
}
END_TEST

START_TEST(addresses_of_16_bits_in_32_bit_code_run_in_ccfs)
{
    /* mov ecx, 100; mov ebx, 12340000h; mov bx, 9000h... in DATA's low half:
     * 1: mov a16 [bx + di], ecx; add eax, a16 [1234h]; a16 lea edx, [bp - 1];
     * dec ecx; a16 jcxz 2f; jmp 1b; 2: ud2 */
    static const uint8_t code[] = {
        0xb9, 100,  0,    0,    0,    0xbb, 0x00, 0x90, 0x34, 0x12,
        0x67, 0x89, 0x09, 0x67, 0x03, 0x06, 0x34, 0x12, 0x67, 0x8d,
        0x56, 0xff, 0x49, 0x67, 0xe3, 2,    0xeb, 0xee, UD2};

    both_from(NULL, code, sizeof(code), 4);
}
END_TEST

static void limit_code(struct machine *m, uint32_t pages_less)
{
    set(&m->vcpu, SEG_CS, 0, UINT32_MAX - (pages_less << PAGE_SHIFT), 0, 0);
    m->vcpu.eip = CODE;
}

/* The mode word has room for so many, and a guest may make any number of them. */
START_TEST(a_segment_of_code_too_many_does_not_run_interpreted_for_ever)
{
    /* mov ecx, 1000; 1: dec ecx; jnz 1b; ud2 */
    static const uint8_t code[] = {0xb9, 0xe8, 3, 0, 0, 0x49, 0x75, 0xfd, UD2};
    struct machine *m = machine_new(true, SOFT_YOUNG);

    load(m, CODE, code, sizeof(code));
    for (uint32_t i = 1; i <= MODE_CODE_COUNT; i++) {
        limit_code(m, i);
        ck_assert_int_eq(bt_can_translate(m->bt), i < MODE_CODE_COUNT);
    }
    run(m);
    ck_assert_uint_lt(m->stats.count[STAT_CALLOUTS], 10);
    limit_code(m, 1);
    ck_assert(bt_can_translate(m->bt));
    machine_destroy(m);
}
END_TEST

void add_segment_tests(TCase *tcase)
{
    tcase_add_test(
        tcase, a_segment_of_code_too_many_does_not_run_interpreted_for_ever);
    tcase_add_test(tcase, rings_1_and_2_run_in_ccfs_and_obey_iopl);
    tcase_add_test(tcase, segments_that_are_not_flat_run_in_ccfs);
    tcase_add_loop_test(tcase,
                        an_access_that_its_segment_denies_faults_as_interpreted,
                        0, ARRAY_COUNT(denied));
    tcase_add_test(tcase, code_in_a_segment_of_its_own_runs_in_ccfs);
    tcase_add_loop_test(tcase, leaving_the_code_segment_faults_as_interpreted,
                        0, ARRAY_COUNT(beyond));
    tcase_add_test(tcase, code_of_16_bits_runs_in_ccfs);
    tcase_add_test(tcase, a_stack_of_16_bits_wraps_and_keeps_the_upper_half);
    tcase_add_test(tcase, addresses_of_16_bits_in_32_bit_code_run_in_ccfs);
}
