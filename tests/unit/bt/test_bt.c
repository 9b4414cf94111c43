/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emu/cpu/segment.h"
#include "monitor/log.h"
#include "tests/machine/machine.h"

/*
 * The translator engine against the interpreter on small programs in flat
 * protected mode, paging off: same registers, flags and memory at the end.
 */
#define RAM_LEN (16u * MIB)
#define CODE    0x10000u
#define STACK   0x80000u
#define DATA    0x90000u

static void flat_state(struct vcpu *v)
{
    struct segment data = {.selector = 0x10,
                           .limit = UINT32_MAX,
                           .attr = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED |
                                   SEG_DB | SEG_G};
    struct segment code = data;

    code.attr |= SEG_CODE;
    code.selector = 8;
    vcpu_reset(v);
    v->cr0 = CR0_PE | CR0_NE | CR0_ET;
    v->cr4 = CR4_OSFXSR;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        vcpu_set_seg(v, i, i == SEG_CS ? &code : &data);
    v->idtr.limit = 0;
    v->eip = CODE;
    v->regs[REG_ESP] = STACK;
}

/* A device that shows the time. */
static uint32_t clock_port(struct machine *m, uint16_t port)
{
    (void)port;
    return (uint32_t)m->vcpu.retired;
}

static struct machine *machine_new(bool bt, enum soft_mode soft)
{
    const struct machine_config config = {.ram_len = RAM_LEN,
                                          .bt = bt,
                                          .count = true,
                                          .port_in = clock_port,
                                          .soft_mode = soft};
    struct machine *m = machine_create(&config);

    flat_state(&m->vcpu);
    return m;
}

/* Run to the end: there is no IDT, so that any exception shuts down. */
static void run(struct machine *m)
{
    while (m->stop.reason == STOP_NONE) {
        m->vcpu.kick = 0;
        machine_run(m, UINT64_MAX);
    }
}

static void load(struct machine *m, gpa_t at, const uint8_t *code, size_t len)
{
    ck_assert_int_eq(gmem_write(m->gmem, at, code, len), 0);
}

static void compare(const struct machine *a, const struct machine *b)
{
    for (unsigned i = 0; i < REG_COUNT; i++)
        ck_assert_uint_eq(a->vcpu.regs[i], b->vcpu.regs[i]);
    ck_assert_uint_eq(a->vcpu.eip, b->vcpu.eip);
    ck_assert_uint_eq(vcpu_eflags(&a->vcpu), vcpu_eflags(&b->vcpu));
    ck_assert_uint_eq(a->vcpu.retired, b->vcpu.retired);
    ck_assert(!memcmp(a->vcpu.fpu, b->vcpu.fpu, sizeof(a->vcpu.fpu)));
    ck_assert(!memcmp(gmem_base(a->gmem), gmem_base(b->gmem), RAM_LEN));
    ck_assert_pstr_eq(tc_verify(a->bt->tc), NULL);
    ck_assert_pstr_eq(spt_verify(a->bt->mmu), NULL);
}

typedef void prepare_fn(struct vcpu *vcpu);

/* How a program is run. */
struct way {
    enum soft_mode soft;
    prepare_fn *prepare; /* what it makes of the flat state; may be NULL */
    bool mixes;          /* a page that is code and data is soon found mixed */
};

/* Run the same program under both engines and compare. Returns the translator's
 * counters. */
static struct stats both_stats(struct way way, const uint8_t *code, size_t len)
{
    struct stats stats;
    struct machine *bt = machine_new(true, way.soft);
    struct machine *interp = machine_new(false, way.soft);

    bt->bt->mixed_window = way.mixes ? UINT64_MAX : 0;
    if (way.prepare) {
        way.prepare(&bt->vcpu);
        way.prepare(&interp->vcpu);
    }
    load(bt, CODE, code, len);
    load(interp, CODE, code, len);
    run(interp);
    run(bt);
    ck_assert_int_eq(bt->stop.reason, interp->stop.reason);
    ck_assert_uint_eq(bt->vcpu.exc.vector, interp->vcpu.exc.vector);
    compare(bt, interp);
    stats = bt->stats;
    machine_destroy(bt);
    machine_destroy(interp);
    ck_assert_uint_gt(stats.count[STAT_INSN_CCF], 0);
    return stats;
}

/* Run the same program under both engines, from a state that prepare made of the
 * flat one, and compare; at most this many of its instructions may be left to
 * the interpreter, not counting misses of the soft TLB. */
static void both_from(prepare_fn *prepare, const uint8_t *code, size_t len,
                      uint64_t interpreted)
{
    struct way way = {.soft = SOFT_NONE, .prepare = prepare};
    struct stats stats = both_stats(way, code, len);

    ck_assert_uint_le(stats.count[STAT_INSN_INTERP], interpreted);
    way.soft = SOFT_ALL;
    both_stats(way, code, len);
}

static void both(const uint8_t *code, size_t len, uint64_t interpreted)
{
    both_from(NULL, code, len, interpreted);
}

/* Programs are assembled by hand; ud2 (0F 0B) ends them with an exception. */
#define BOTH(...)                                    \
    do {                                             \
        static const uint8_t code[] = {__VA_ARGS__}; \
        both(code, sizeof(code), 4);                 \
    } while (0)
#define UD2 0x0f, 0x0b

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

START_TEST(a_long_time_without_code_takes_no_stack)
{
    /* mov ecx, 100000; 1: dec ecx; jnz 1b; ud2 */
    static const uint8_t code[] = {0xb9, 0xa0, 0x86, 0x01, 0,
                                   0x49, 0x75, 0xfd, UD2};
    struct machine *m = machine_new(true, SOFT_NONE);

    load(m, CODE, code, sizeof(code));
    m->vcpu.dr[7] |= 1;
    m->vcpu.dr[0] = STACK;
    run(m);
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 0);
    ck_assert_uint_eq(m->stats.count[STAT_INSN_CCF], 0);
    machine_destroy(m);
}
END_TEST

START_TEST(a_counting_loop_gives_the_interpreters_state)
{
    /* mov ecx, 1000; 1: add eax, ecx; dec ecx; jnz 1b */
    BOTH(0xb9, 0xe8, 3, 0, 0, 0x01, 0xc8, 0x49, 0x75, 0xfb, UD2);
}
END_TEST

START_TEST(calls_and_returns_keep_the_stack)
{
    /* mov ecx, 500; 1: call f; dec ecx; jnz 1b; ud2
     * f: push ebx; push ebp; mov ebp, esp; add ebx, 3; leave; pop eax; ret */
    BOTH(0xb9, 0xf4, 1, 0, 0, 0xe8, 5, 0, 0, 0, 0x49, 0x75, 0xf8, UD2, 0x53,
         0x55, 0x89, 0xe5, 0x83, 0xc3, 3, 0xc9, 0x58, 0xc3);
}
END_TEST

START_TEST(an_unbalanced_return_goes_where_the_guest_says)
{
    /* call 1f; ud2; 1: pop eax; lea ecx, [eax + 9]; push ecx; ret; nop...;
     * ud2 */
    BOTH(0xe8, 2, 0, 0, 0, UD2, 0x58, 0x8d, 0x48, 0x09, 0x51, 0xc3, 0x90, 0x90,
         0x90, 0x90, 0x40, UD2, UD2);
}
END_TEST

START_TEST(esp_based_operands_see_the_pending_delta)
{
    /* push 1; push 2; mov eax, [esp + 4]; add [esp], eax; pop ebx;
     * pop dword [esp - 8]; lea edx, [esp - 4]; mov esi, [esp - 8]; push esp;
     * pop edi; push dword [esp - 8] */
    BOTH(0x6a, 1, 0x6a, 2, 0x8b, 0x44, 0x24, 4, 0x01, 0x04, 0x24, 0x5b, 0x8f,
         0x44, 0x24, 0xf8, 0x8d, 0x54, 0x24, 0xfc, 0x8b, 0x74, 0x24, 0xf8, 0x54,
         0x5f, 0xff, 0x74, 0x24, 0xf8, UD2);
}
END_TEST

START_TEST(string_instructions_work_through_the_window)
{
    /* mov edi, DATA; mov ecx, 3000; mov al, 7; rep stosb;
     * mov esi, DATA; mov edi, DATA + 10000h; mov ecx, 700; rep movsd;
     * std; lodsb; cld; scasw; cmpsb */
    BOTH(0xbf, 0, 0, 9, 0, 0xb9, 0xb8, 0x0b, 0, 0, 0xb0, 7, 0xf3, 0xaa, 0xbe, 0,
         0, 9, 0, 0xbf, 0, 0, 0xa, 0, 0xb9, 0xbc, 2, 0, 0, 0xf3, 0xa5, 0xfd,
         0xac, 0xfc, 0x66, 0xaf, 0xa6, UD2);
}
END_TEST

START_TEST(absolute_addresses_and_short_forms_are_reencoded)
{
    /* mov eax, 11223344h; mov [DATA], eax; mov al, [DATA + 1];
     * mov ecx, [DATA]; inc ecx; dec dx; add [DATA + 4], ecx;
     * mov ebx, [ecx*4 + 0]... */
    BOTH(0xb8, 0x44, 0x33, 0x22, 0x11, 0xa3, 0, 0, 9, 0, 0xa0, 1, 0, 9, 0, 0x8b,
         0x0d, 0, 0, 9, 0, 0x41, 0x66, 0x4a, 0x01, 0x0d, 4, 0, 9, 0, 0x31, 0xc9,
         0x8b, 0x1c, 0x8d, 0, 0, 9, 0, 0x82, 0xc3, 5, UD2);
}
END_TEST

START_TEST(high_byte_registers_with_esp_are_left_to_the_interpreter)
{
    /* push 12345678h; mov ah, [esp + 1]; mov [esp + 2], bh; pop ecx */
    BOTH(0x68, 0x78, 0x56, 0x34, 0x12, 0x8a, 0x64, 0x24, 1, 0x88, 0x7c, 0x24, 2,
         0x59, UD2);
}
END_TEST

START_TEST(a_store_to_the_next_instruction_takes_effect)
{
    /* mov eax, 0; mov byte [CODE + 13], 5; (CODE + 12:) mov al, 1; ud2 */
    BOTH(0xb8, 0, 0, 0, 0, 0xc6, 0x05, 0x0d, 0, 1, 0, 5, 0xb0, 1, UD2);
}
END_TEST

/* 200 times: put one function and then another at 20000h, and call it. */
#define REWRITE_AND_CALL(source)                            \
    0xbe, source, 0x00, 0x01, 0x00,   /* mov esi, source */ \
        0xbf, 0x00, 0x00, 0x02, 0x00, /* mov edi, 20000h */ \
        0xb9, 0x06, 0x00, 0x00, 0x00, /* mov ecx, 6 */      \
        0xf3, 0xa4,                   /* rep movsb */       \
        0xb8, 0x00, 0x00, 0x02, 0x00, /* mov eax, 20000h */ \
        0xff, 0xd0                    /* call eax */
#define REWRITING(second)                                              \
    0xbb, 0xc8, 0x00, 0x00, 0x00, /* mov ebx, 200 */                   \
        REWRITE_AND_CALL(0x40), REWRITE_AND_CALL(second), 0x4b, 0x75,  \
        0xcd,                                    /* dec ebx; jnz */    \
        UD2, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, /* up to 40h */       \
        0xb8, 0x01, 0x00, 0x00, 0x00, 0xc3,      /* mov eax, 1; ret */ \
        0x90, 0x90, 0xb8, 0x02, 0x00, 0x00, 0x00, 0xc3

static const struct way traced = {.soft = SOFT_NONE};

START_TEST(code_that_is_written_again_alike_is_taken_back)
{
    static const uint8_t same[] = {REWRITING(0x40)};
    struct stats stats = both_stats(traced, same, sizeof(same));

    ck_assert_uint_ge(stats.count[STAT_TAKEN_BACK], 390);
    ck_assert_uint_lt(stats.count[STAT_TU_TRANSLATED], 20);
    ck_assert_uint_eq(stats.count[STAT_TAKEN_ACROSS], 0);
}
END_TEST

START_TEST(code_that_alternates_is_taken_back)
{
    static const uint8_t other[] = {REWRITING(0x48)};
    struct stats stats = both_stats(traced, other, sizeof(other));

    ck_assert_uint_ge(stats.count[STAT_TAKEN_BACK], 390);
    ck_assert_uint_lt(stats.count[STAT_TU_TRANSLATED], 20);
}
END_TEST

/* Two versions of a load from MMIO in turn: the second one's trap makes the site
 * soft while the first is on the shelf. */
START_TEST(a_ccf_that_is_taken_back_learns_what_its_site_became)
{
    static const uint8_t other[] = {REWRITING(0x48)};
    static const uint8_t load_mmio[] = {0xa1, 0x00, 0x00, 0x00, 0x02, 0xc3};
    uint8_t code[sizeof(other)];
    struct stats stats;

    memcpy(code, other, sizeof(code));
    memcpy(code + 0x40, load_mmio, sizeof(load_mmio));
    memcpy(code + 0x48, load_mmio, sizeof(load_mmio));
    code[0x49] = 4;
    stats = both_stats(traced, code, sizeof(code));
    ck_assert_uint_eq(stats.count[STAT_ADAPTATIONS], 2 + 2); /* REP MOVSB */
}
END_TEST

/* A function in the last bytes of a page that is then cleared from its start:
 * only the first stores are steps. */
START_TEST(a_code_page_that_becomes_data_is_released)
{
    static const uint8_t code[] = {
        0xc6, 0x05, 0xff, 0x0f, 0x02, 0x00, 0xc3, /* mov byte [20fffh], c3h */
        0xe8, 0xf3, 0x0f, 0x01, 0x00,             /* call 20fffh */
        0xbf, 0x00, 0x00, 0x02, 0x00,             /* mov edi, 20000h */
        0xb9, 0x00, 0x02, 0x00, 0x00,             /* mov ecx, 512 */
        0xc7, 0x07, 0x00, 0x00, 0x00, 0x00,       /* mov dword [edi], 0 */
        0x83, 0xc7, 0x04,                         /* add edi, 4 */
        0xe2, 0xf5,                               /* loop */
        UD2};
    struct stats stats = both_stats(traced, code, sizeof(code));

    ck_assert_uint_eq(stats.count[STAT_CODE_RELEASED], 1);
    ck_assert_uint_le(stats.count[STAT_SMC_FAULTS], 10);
}
END_TEST

static const struct way mixing[] = {
    {.soft = SOFT_NONE, .mixes = true},
    {.soft = SOFT_ALL,  .mixes = true},
};

START_TEST(a_page_of_code_and_data_is_not_traced)
{
    static const uint8_t code[] = {
        0xb9, 0xb8, 0x0b, 0x00, 0x00,       /* mov ecx, 3000 */
        0xff, 0x05, 0x20, 0x00, 0x01, 0x00, /* inc dword [10020h] */
        0xe2, 0xf8,                         /* loop */
        UD2};
    struct stats stats = both_stats(mixing[_i], code, sizeof(code));

    ck_assert_uint_eq(stats.count[STAT_CODE_MIXED], 1);
    ck_assert_uint_le(stats.count[STAT_SMC_FAULTS], 16 * 10);
    ck_assert_uint_eq(stats.count[STAT_CODE_CHANGED], 0);
}
END_TEST

START_TEST(a_store_to_the_next_instruction_of_a_mixed_page_takes_effect)
{
    static const uint8_t code[] = {
        0xb9, 0xe8, 0x03, 0x00, 0x00,             /* mov ecx, 1000 */
        0x80, 0x05, 0x0d, 0x00, 0x01, 0x00, 0x03, /* add byte [1000dh], 3 */
        0xb0, 0x00,                               /* mov al, 0 */
        0x01, 0xc3,                               /* add ebx, eax */
        0xe2, 0xf3,                               /* loop */
        UD2};
    struct stats stats = both_stats(mixing[_i], code, sizeof(code));

    ck_assert_uint_eq(stats.count[STAT_CODE_MIXED], 1);
    ck_assert_uint_ge(stats.count[STAT_CODE_CHANGED], 900);
    /* 256 values of the operand */
    ck_assert_uint_ge(stats.count[STAT_TAKEN_BACK], 600);
    ck_assert_uint_le(stats.count[STAT_TU_TRANSLATED], 400);
}
END_TEST

START_TEST(code_and_stack_may_share_a_page)
{
    static const uint8_t code[] = {
        0xbc, 0x00, 0x01, 0x01, 0x00,       /* mov esp, 10100h */
        0xb9, 0xb8, 0x0b, 0x00, 0x00,       /* mov ecx, 3000 */
        0x51,                               /* push ecx */
        0xe8, 0x05, 0x00, 0x00, 0x00,       /* call 1f */
        0x5a,                               /* pop edx */
        0xe2, 0xf7,                         /* loop */
        UD2,                                /* */
        0xff, 0x05, 0x80, 0x00, 0x01, 0x00, /* 1: inc dword [10080h] */
        0xc3};
    struct stats stats = both_stats(mixing[_i], code, sizeof(code));

    ck_assert_uint_eq(stats.count[STAT_CODE_MIXED], 1);
    ck_assert_uint_le(stats.count[STAT_SMC_FAULTS], 16 * 10);
}
END_TEST

/* Every length that is compared, and a change of its last byte: n times INC EAX,
 * then MOV BYTE to the last of them, which the loop goes through next. */
START_TEST(a_change_of_any_byte_is_seen)
{
    uint8_t code[128] = {0xb9, 0x80, 0x00, 0x00, 0x00}; /* mov ecx, 128 */
    uint8_t *at = code + 5;

    memset(at, 0x40, (size_t)_i); /* inc eax */
    at += _i;
    *at++ = 0xd1; /* rol dl, 1; setc dl */
    *at++ = 0xc2;
    memcpy(at, "\x80\x35\x00\x00\x01\x00\x08", 7); /* xor byte [last], 8 */
    at[2] = (uint8_t)(5 + _i - 1);
    at += 7;
    *at++ = 0x49; /* dec ecx */
    *at++ = 0x0f; /* jnz */
    *at++ = 0x85;
    memset(at, 0xff, 4);
    *at = (uint8_t)(5 - (at + 4 - code));
    at += 4;
    memcpy(at, "\x0f\x0b", 2);
    both_stats(mixing[0], code, sizeof(code));
}
END_TEST

START_TEST(a_mixed_page_that_is_quiet_is_traced_again)
{
    static const uint8_t code[] = {
        0xb9, 0xb8, 0x0b, 0x00, 0x00,       /* mov ecx, 3000 */
        0xff, 0x05, 0x20, 0x00, 0x01, 0x00, /* inc dword [10020h] */
        0xe2, 0xf8,                         /* loop */
        0xf4};                              /* hlt */
    struct machine *m = machine_new(true, SOFT_NONE);

    m->bt->mixed_window = UINT64_MAX;
    m->bt->mixed_patience = 0;
    load(m, CODE, code, sizeof(code));
    ck_assert_int_eq(machine_run(m, UINT64_MAX), VCPU_EXIT_HLT);
    ck_assert(bt_code_is_mixed(m->bt, CODE >> PAGE_SHIFT));
    ck_assert_pstr_eq(bt_verify(m->bt), NULL);
    bt_code_poll(m->bt);
    ck_assert(!bt_code_is_mixed(m->bt, CODE >> PAGE_SHIFT));
    ck_assert(!tc_frame_has_code(m->bt->tc, CODE >> PAGE_SHIFT));
    m->vcpu.eip = CODE + 5;
    m->vcpu.regs[REG_ECX] = 10;
    ck_assert_int_eq(machine_run(m, UINT64_MAX), VCPU_EXIT_HLT);
    ck_assert(!bt_code_is_mixed(m->bt, CODE >> PAGE_SHIFT));
    ck_assert_pstr_eq(bt_verify(m->bt), NULL);
    m->vcpu.eip = CODE;
    ck_assert_int_eq(machine_run(m, UINT64_MAX), VCPU_EXIT_HLT);
    ck_assert(bt_code_is_mixed(m->bt, CODE >> PAGE_SHIFT));
    ck_assert_uint_eq(*(uint32_t *)machine_ram(m, CODE + 0x20), 6010);
    machine_destroy(m);
}
END_TEST

START_TEST(a_division_by_zero_is_the_guests)
{
    /* mov eax, 5; xor ecx, ecx; div ecx */
    BOTH(0xb8, 5, 0, 0, 0, 0x31, 0xc9, 0xf7, 0xf1, UD2);
}
END_TEST

START_TEST(a_fault_keeps_the_fpu)
{
    /* mov eax, 12345678h; movd xmm0, eax; fld1; movd xmm7, eax; xor ecx, ecx;
     * div ecx */
    BOTH(0xb8, 0x78, 0x56, 0x34, 0x12, 0x66, 0x0f, 0x6e, 0xc0, 0xd9, 0xe8, 0x66,
         0x0f, 0x6e, 0xf8, 0x31, 0xc9, 0xf7, 0xf1, UD2);
}
END_TEST

START_TEST(a_trapping_store_keeps_the_fpu)
{
    /* mov eax, CODE; movd xmm0, eax; movd xmm3, eax; fldpi; mov ecx, 20;
     * 1: mov [CODE + ff0h], ecx; dec ecx; jnz 1b */
    static const uint8_t code[] = {
        0xb8, 0,    0,    1,    0,    0x66, 0x0f, 0x6e, 0xc0, 0x66,
        0x0f, 0x6e, 0xd8, 0xd9, 0xeb, 0xb9, 20,   0,    0,    0,
        0x89, 0x0d, 0xf0, 0x0f, 1,    0,    0x49, 0x75, 0xf7, UD2};

    both(code, sizeof(code), 64);
}
END_TEST

START_TEST(a_store_through_cs_is_a_fault)
{
    /* mov ebx, DATA; mov eax, cs:[ebx]; mov cs:[ebx], eax */
    BOTH(0xbb, 0, 0, 9, 0, 0x2e, 0x8b, 0x03, 0x2e, 0x89, 0x03, UD2);
}
END_TEST

START_TEST(an_x87_exception_has_the_guests_pointers)
{
    /* fld1; mov ebx, DATA; fdiv dword [ebx + 8]; fwait: everything is unmasked
     * after reset */
    BOTH(0xd9, 0xe8, 0xbb, 0, 0, 9, 0, 0xd8, 0x73, 0x08, 0x9b, UD2);
}
END_TEST

START_TEST(a_device_sees_the_retired_count)
{
    /* mov ecx, 3; 1: nop; in eax, dx; add ebx, eax; dec ecx; jnz 1b */
    BOTH(0xb9, 3, 0, 0, 0, 0x90, 0xed, 0x01, 0xc3, 0x49, 0x75, 0xf9, UD2);
}
END_TEST

START_TEST(undefined_flags_are_the_hosts)
{
    /* mov eax, 12345678h; mov ecx, 7; shl eax, cl; pushf; mul ecx; pushf;
     * bsf edx, eax; pushf; bt eax, ecx; pushf; imul eax, ecx, 3; pushf;
     * shld eax, ecx, 5; pushf; cdq; idiv ecx; pushf; rol ax, 3; pushf;
     * sar al, 2; pushf; imul ecx, eax; pushf; shrd ax, cx, 9; pushf */
    BOTH(0xb8, 0x78, 0x56, 0x34, 0x12, 0xb9, 7, 0, 0, 0, 0xd3, 0xe0, 0x9c, 0xf7,
         0xe1, 0x9c, 0x0f, 0xbc, 0xd0, 0x9c, 0x0f, 0xa3, 0xc8, 0x9c, 0x6b, 0xc1,
         3, 0x9c, 0x0f, 0xa4, 0xc8, 5, 0x9c, 0x99, 0xf7, 0xf9, 0x9c, 0x66, 0xc1,
         0xc0, 3, 0x9c, 0xc0, 0xf8, 2, 0x9c, 0x0f, 0xaf, 0xc8, 0x9c, 0x66, 0x0f,
         0xac, 0xc8, 9, 0x9c, UD2);
}
END_TEST

START_TEST(indirect_branches_reach_their_targets)
{
    /* mov ecx, 100; mov eax, CODE + 15; 1: call eax; dec ecx; jnz 1b; ud2
     * (CODE + 16) f: add ebx, ecx; ret */
    BOTH(0xb9, 100, 0, 0, 0, 0xb8, 0x11, 0, 1, 0, 0xff, 0xd0, 0x49, 0x75, 0xfb,
         UD2, 0x01, 0xcb, 0xc3);
}
END_TEST

START_TEST(pushf_stores_the_whole_flags_image)
{
    /* stc; std; pushf; cli; pop eax; sti; pushf; pop ebx; cld; clc; cmp al, 0;
     * pushf; pop ecx */
    BOTH(0xf9, 0xfd, 0x9c, 0xfa, 0x58, 0xfb, 0x9c, 0x5b, 0xfc, 0xf8, 0x3c, 0,
         0x9c, 0x59, UD2);
}
END_TEST

START_TEST(an_instruction_across_a_page_boundary_is_translated)
{
    /* mov ecx, 1000; 1: jmp CODE + ffeh; ...
     * CODE + ffeh: add eax, 01020304h; dec ecx; jnz 1b; ud2 */
    static uint8_t code[0x1010];

    memcpy(code, (uint8_t[]){0xb9, 0xe8, 3, 0, 0, 0xe9, 0xf4, 0x0f, 0, 0}, 10);
    memcpy(code + 0xffe,
           (uint8_t[]){0x05, 4, 3, 2, 1, 0x49, 0x0f, 0x85, 0xfb, 0xef, 0xff,
                       0xff, UD2},
           14);
    both(code, sizeof(code), 1);
}
END_TEST

/* From one page into the next and back, through the lookup table only. */
START_TEST(a_loop_over_a_page_boundary_stays_in_ccfs)
{
    /* CODE: mov ecx, 1000; jmp CODE + ffdh; ...
     * CODE + ffdh: nop; add eax, 01020304h; dec ecx; jnz CODE + ffdh; ud2 */
    static const uint8_t head[] = {0xb9, 0xe8, 3, 0, 0, 0xe9, 0xf3, 0x0f, 0, 0};
    static const uint8_t loop[] = {0x90, 0x05, 4,    3,    2,
                                   1,    0x49, 0x75, 0xf7, UD2};
    struct machine *m = machine_new(true, SOFT_NONE);

    load(m, CODE, head, sizeof(head));
    load(m, CODE + 0xffd, loop, sizeof(loop));
    run(m);
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 0);
    ck_assert_uint_lt(m->stats.count[STAT_LOOKUP_MISSES], 20);
    machine_destroy(m);
}
END_TEST

START_TEST(vector_registers_survive_every_kind_of_exit)
{
    /* mov eax, 01020304h; movd xmm0, eax; pshufd xmm0, xmm0, 0;
     * movups [DATA], xmm0         (a hidden fault)
     * movups [A0000h], xmm0       (MMIO: emulated)
     * in al, 80h                  (a step)
     * call 1f; 1: pop ecx         (lookups and chains)
     * movups [DATA + 5000h], xmm0; movd ebx, xmm0; mov edx, [DATA + 5004h] */
    BOTH(0xb8, 4, 3, 2, 1, 0x66, 0x0f, 0x6e, 0xc0, 0x66, 0x0f, 0x70, 0xc0, 0,
         0x0f, 0x11, 0x05, 0, 0, 9, 0, 0x0f, 0x11, 0x05, 0, 0, 0xa, 0, 0xe4,
         0x80, 0xe8, 0, 0, 0, 0, 0x59, 0x0f, 0x11, 0x05, 0, 0x50, 9, 0, 0x66,
         0x0f, 0x7e, 0xc3, 0x8b, 0x15, 4, 0x50, 9, 0, UD2);
}
END_TEST

START_TEST(two_engines_share_a_thread)
{
    /* mov ecx, 100000; 1: mov [DATA], ecx; dec ecx; jnz 1b; ud2 */
    static const uint8_t code[] = {0xb9, 0xa0, 0x86, 1,    0,    0x89, 0x0d, 0,
                                   0,    9,    0,    0x49, 0x75, 0xf7, UD2};
    struct machine *a = machine_new(true, SOFT_NONE);
    struct machine *b = machine_new(true, SOFT_NONE);

    load(a, CODE, code, sizeof(code));
    load(b, CODE, code, sizeof(code));
    run(a);
    run(b);
    ck_assert_uint_eq(a->vcpu.regs[REG_ECX], 0);
    ck_assert_uint_eq(b->vcpu.regs[REG_ECX], 0);
    ck_assert_uint_ne(mmu_window_base(a->bt->mmu), mmu_window_base(b->bt->mmu));
    machine_destroy(a);
    machine_destroy(b);
}
END_TEST

START_TEST(a_page_of_conditional_branches_fits_the_tables_of_a_tu)
{
    /* 650 times jo (elsewhere), never taken; ud2 */
    static uint8_t code[650 * 6 + 2];

    for (unsigned i = 0; i < 650; i++)
        memcpy(code + 6 * i, (uint8_t[]){0x0f, 0x80, 0, 0, 1, 0}, 6);
    memcpy(code + 650 * 6, (uint8_t[]){UD2}, 2);
    both(code, sizeof(code), 1);
}
END_TEST

START_TEST(a_conditional_x87_move_that_is_interpreted_sees_the_stack)
{
    /* fninit; fld1; fldz; stc; addr16 fcmovb st, st(1); fistp dword [DATA];
     * mov eax, [DATA] */
    BOTH(0xdb, 0xe3, 0xd9, 0xe8, 0xd9, 0xee, 0xf9, 0x67, 0xda, 0xc1, 0xdb, 0x1d,
         0, 0, 9, 0, 0xa1, 0, 0, 9, 0, UD2);
}
END_TEST

START_TEST(loop_and_jecxz_branch_without_flags)
{
    /* stc; mov ecx, 50; 1: inc eax; loop 1b; jecxz 2f; ud2; 2: mov ecx, 1;
     * jecxz 3f; dec esi; 3: ud2 */
    BOTH(0xf9, 0xb9, 50, 0, 0, 0, 0x40, 0xe2, 0xfd, 0xe3, 2, UD2, 0xb9, 1, 0, 0,
         0, 0xe3, 1, 0x4e, UD2);
}
END_TEST

START_TEST(an_indirect_call_finds_no_code_of_another_mode)
{
    /* mov ebx, f; call ebx; mov eax, cr0; or eax, 8 (TS); mov cr0, eax;
     * call ebx; ud2; f: fld1; inc edx; ret */
    BOTH(0xbb, 0x14, 0, 1, 0, 0xff, 0xd3, 0x0f, 0x20, 0xc0, 0x83, 0xc8, 8, 0x0f,
         0x22, 0xc0, 0xff, 0xd3, UD2, 0xd9, 0xe8, 0x42, 0xc3);
}
END_TEST

START_TEST(memory_that_the_host_cannot_give_stops_the_machine)
{
    /* mov ecx, 5; inc dword [800010h]; ud2 */
    static const uint8_t code[] = {0xb9, 5,    0, 0,    0, 0xff,
                                   0x05, 0x10, 0, 0x80, 0, UD2};
    struct machine *m = machine_new(true, SOFT_NONE);

    load(m, CODE, code, sizeof(code));
    ck_assert_int_eq(ftruncate(gmem_fd(m->gmem), MIB), 0);
    run(m);
    ck_assert_int_eq(m->stop.reason, STOP_HOST);
    ck_assert_pstr_eq(m->stop.text,
                      "the host failed to provide guest memory at 00800010");
    ck_assert_uint_eq(m->vcpu.eip, CODE + 5);
    ck_assert_uint_eq(m->vcpu.regs[REG_ECX], 5);
    machine_destroy(m);
}
END_TEST

/* Each way of tracing, with a store that hits the code's frame through another
 * site than the one that is adapted. */
START_TEST(both_ways_of_tracing_see_stores_to_code)
{
    static const enum mmu_trace kind[] = {MMU_TRACE_MPROTECT,
                                          MMU_TRACE_USERFAULTFD};
    /* mov ecx, 20; 1: mov [CODE + ff0h], ecx; inc dword [CODE + ff4h];
     * dec ecx; jnz 1b; ud2 */
    static const uint8_t code[] = {0xb9, 20,   0, 0,    0,    0x89, 0x0d,
                                   0xf0, 0x0f, 1, 0,    0xff, 5,    0xf4,
                                   0x0f, 1,    0, 0x49, 0x75, 0xf1, UD2};
    for (unsigned i = 0; i < ARRAY_COUNT(kind); i++) {
        struct machine *m = machine_new(true, SOFT_NONE);

        mmu_set_trace(m->bt->mmu, kind[i]);
        load(m, CODE, code, sizeof(code));
        run(m);
        ck_assert_int_eq(m->stop.reason, STOP_SHUTDOWN);
        ck_assert_uint_eq(*(uint32_t *)(void *)machine_ram(m, CODE + 0xff0), 1);
        ck_assert_uint_eq(*(uint32_t *)(void *)machine_ram(m, CODE + 0xff4),
                          20);
        ck_assert_uint_gt(m->stats.count[STAT_SMC_FAULTS], 0);
        ck_assert_pstr_eq(spt_verify_host(m->bt->mmu), NULL);
        machine_destroy(m);
    }
}
END_TEST

START_TEST(an_xmm_register_needs_osfxsr_also_where_mmx_has_the_mnemonic)
{
    /* mov eax, cr4; and ah, fdh (OSFXSR); mov cr4, eax; movq mm0, mm1;
     * paddb xmm0, xmm1 */
    BOTH(0x0f, 0x20, 0xe0, 0x80, 0xe4, 0xfd, 0x0f, 0x22, 0xe0, 0x0f, 0x6f, 0xc1,
         0x66, 0x0f, 0xfc, 0xc1, UD2);
}
END_TEST

START_TEST(an_x87_exception_keeps_the_opcode_that_is_overwritten)
{
    /* fld1; fldz; (CODE + 4:) fdivp; mov word [CODE + 4], 0; fnsave [DATA]:
     * everything is unmasked after reset */
    BOTH(0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0x66, 0xc7, 0x05, 4, 0, 1, 0, 0, 0,
         0xdd, 0x35, 0, 0, 9, 0, UD2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bt");
    TCase *tcase = tcase_create("programs");
    SRunner *runner = srunner_create(suite);

    tcase_add_test(tcase, rings_1_and_2_run_in_ccfs_and_obey_iopl);
    tcase_add_test(tcase, segments_that_are_not_flat_run_in_ccfs);
    tcase_add_loop_test(tcase,
                        an_access_that_its_segment_denies_faults_as_interpreted,
                        0, ARRAY_COUNT(denied));
    tcase_add_test(tcase, a_long_time_without_code_takes_no_stack);
    tcase_add_test(tcase, code_in_a_segment_of_its_own_runs_in_ccfs);
    tcase_add_loop_test(tcase, leaving_the_code_segment_faults_as_interpreted,
                        0, ARRAY_COUNT(beyond));
    tcase_add_test(tcase, code_of_16_bits_runs_in_ccfs);
    tcase_add_test(tcase, a_stack_of_16_bits_wraps_and_keeps_the_upper_half);
    tcase_add_test(tcase, addresses_of_16_bits_in_32_bit_code_run_in_ccfs);
    tcase_add_test(tcase, a_counting_loop_gives_the_interpreters_state);
    tcase_add_test(tcase, calls_and_returns_keep_the_stack);
    tcase_add_test(tcase, an_unbalanced_return_goes_where_the_guest_says);
    tcase_add_test(tcase, esp_based_operands_see_the_pending_delta);
    tcase_add_test(tcase, string_instructions_work_through_the_window);
    tcase_add_test(tcase, absolute_addresses_and_short_forms_are_reencoded);
    tcase_add_test(tcase,
                   high_byte_registers_with_esp_are_left_to_the_interpreter);
    tcase_add_test(tcase, a_store_to_the_next_instruction_takes_effect);
    tcase_add_test(tcase, code_that_is_written_again_alike_is_taken_back);
    tcase_add_test(tcase, code_that_alternates_is_taken_back);
    tcase_add_test(tcase, a_code_page_that_becomes_data_is_released);
    tcase_add_test(tcase, a_ccf_that_is_taken_back_learns_what_its_site_became);
    tcase_add_loop_test(tcase, a_page_of_code_and_data_is_not_traced, 0, 2);
    tcase_add_loop_test(
        tcase, a_store_to_the_next_instruction_of_a_mixed_page_takes_effect, 0,
        2);
    tcase_add_loop_test(tcase, code_and_stack_may_share_a_page, 0, 2);
    tcase_add_loop_test(tcase, a_change_of_any_byte_is_seen, 1, 17);
    tcase_add_test(tcase, a_mixed_page_that_is_quiet_is_traced_again);
    tcase_add_test(tcase, a_division_by_zero_is_the_guests);
    tcase_add_test(tcase, a_fault_keeps_the_fpu);
    tcase_add_test(tcase, a_trapping_store_keeps_the_fpu);
    tcase_add_test(tcase, a_store_through_cs_is_a_fault);
    tcase_add_test(tcase, an_x87_exception_has_the_guests_pointers);
    tcase_add_test(tcase, a_device_sees_the_retired_count);
    tcase_add_test(tcase, undefined_flags_are_the_hosts);
    tcase_add_test(tcase, indirect_branches_reach_their_targets);
    tcase_add_test(tcase, pushf_stores_the_whole_flags_image);
    tcase_add_test(tcase, an_instruction_across_a_page_boundary_is_translated);
    tcase_add_test(tcase, a_loop_over_a_page_boundary_stays_in_ccfs);
    tcase_add_test(tcase, vector_registers_survive_every_kind_of_exit);
    tcase_add_test(tcase, two_engines_share_a_thread);
    tcase_add_test(tcase,
                   a_page_of_conditional_branches_fits_the_tables_of_a_tu);
    tcase_add_test(tcase,
                   a_conditional_x87_move_that_is_interpreted_sees_the_stack);
    tcase_add_test(tcase, loop_and_jecxz_branch_without_flags);
    tcase_add_test(tcase, an_indirect_call_finds_no_code_of_another_mode);
    tcase_add_test(tcase, memory_that_the_host_cannot_give_stops_the_machine);
    tcase_add_test(tcase, both_ways_of_tracing_see_stores_to_code);
    tcase_add_test(
        tcase, an_xmm_register_needs_osfxsr_also_where_mmx_has_the_mnemonic);
    tcase_add_test(tcase,
                   an_x87_exception_keeps_the_opcode_that_is_overwritten);
    suite_add_tcase(suite, tcase);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
