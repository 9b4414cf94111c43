/* SPDX-License-Identifier: MIT */
#include "monitor/bt.h"
#include "monitor/world_offsets.h"
#include "translator/emit_x86.h"

/*
 * The common stubs at the start of the code memory, and the layout facts that
 * assembly relies on.
 */
#define ASSERT_OFFSET(type, member, offset)                   \
    _Static_assert(offsetof(struct type, member) == (offset), \
                   #member " moved: world_offsets.h")

ASSERT_OFFSET(vcpu, regs[REG_EAX], VCPU_EAX);
ASSERT_OFFSET(vcpu, regs[REG_ECX], VCPU_ECX);
ASSERT_OFFSET(vcpu, regs[REG_EDX], VCPU_EDX);
ASSERT_OFFSET(vcpu, regs[REG_EBX], VCPU_EBX);
ASSERT_OFFSET(vcpu, regs[REG_ESP], VCPU_ESP);
ASSERT_OFFSET(vcpu, regs[REG_EBP], VCPU_EBP);
ASSERT_OFFSET(vcpu, regs[REG_ESI], VCPU_ESI);
ASSERT_OFFSET(vcpu, regs[REG_EDI], VCPU_EDI);
ASSERT_OFFSET(vcpu, kick, VCPU_KICK);
ASSERT_OFFSET(vcpu, bt, VCPU_BT);
ASSERT_OFFSET(bt_vcpu, monitor_sp, BT_MONITOR_SP);
ASSERT_OFFSET(bt_vcpu, host_sp, BT_HOST_SP);
ASSERT_OFFSET(bt_vcpu, window, BT_WINDOW);
ASSERT_OFFSET(bt_vcpu, table, BT_TABLE);
ASSERT_OFFSET(bt_vcpu, flags, BT_FLAGS);
ASSERT_OFFSET(bt_vcpu, vcpu, BT_VCPU);
ASSERT_OFFSET(bt_vcpu, record, BT_RECORD);
ASSERT_OFFSET(bt_vcpu, target, BT_TARGET);

const struct ccf_exit bt_exit_cancel = {.kind = EXIT_CANCEL};
const struct ccf_exit bt_exit_kick = {.kind = EXIT_KICK};
const struct ccf_exit bt_exit_exc = {.kind = EXIT_EXC};
const struct ccf_exit bt_exit_emulate = {.kind = EXIT_EMULATE};
const struct ccf_exit bt_exit_soft = {.kind = EXIT_SOFT};
static const struct ccf_exit exit_lookup = {.kind = EXIT_LOOKUP};
static const struct ccf_exit exit_miss = {.kind = EXIT_MISS};
static const struct ccf_exit exit_denied = {.kind = EXIT_DENIED};

/*
 * pop r9
 * mov [r15 + soft_pc], r9
 * mov r9, record
 * jmp exit
 */
static uint64_t write_way_out(struct emit *e, const struct xlat_config *config,
                              const struct ccf_exit *record)
{
    static const uint8_t pop_r9[] = {0x41, 0x59};
    uint64_t at = emit_rx(e);

    emit_bytes(e, pop_r9, sizeof(pop_r9));
    emit_store64_rd(e, HOST_VCPU, config->layout.soft_pc, HOST_R9);
    emit_u8(e, 0x49);
    emit_u8(e, 0xb9);
    emit_u64(e, (uint64_t)(uintptr_t)record);
    emit_jmp(e, config->glue.exit);
    return at;
}

static void write_checks(struct emit *e, struct xlat_config *config)
{
    uint64_t denied = write_way_out(e, config, &exit_denied);

    for (unsigned i = 0; i < SEG_COUNT * 4; i++) {
        bool write = i & 1;
        bool down = i & 2;

        /* A code segment is neither written nor expand-down. */
        if (i / 4 == SEG_CS && (write || down))
            continue;
        config->glue.check[i / 4][write][down] = emit_rx(e);
        xlat_write_check(e, config, i / 4, write, down, denied);
    }
}

static void write_probes(struct emit *e, struct xlat_config *config)
{
    uint64_t miss = write_way_out(e, config, &exit_miss);

    for (unsigned i = 0; i < 4; i++) {
        bool user = i & 1;
        bool write = i & 2;

        config->glue.probe[user][write] = emit_rx(e);
        xlat_write_probe(e, config, user, write, miss);
    }
}

/*
 * exit:     jmp [rip + 0]; .quad world_exit
 * miss:     mov r9, exit_lookup; jmp exit
 * sentinel: lea rsp, [rsp - 8]        the value stays for the next time
 * lookup:   movzx r9d, r8w; jmp [r14 + r9*8]
 * and the probes of the soft TLB, and the checks of segments.
 */
void bt_glue_write(struct bt_vcpu *bt, struct xlat_config *config)
{
    struct xlat_glue *glue = &config->glue;
    static const uint8_t jmp_rip[] = {0xff, 0x25, 0, 0, 0, 0};
    static const uint8_t lea_rsp[] = {0x48, 0x8d, 0x64, 0x24, 0xf8};
    const struct mcode *mcode = tc_mcode(bt->tc);
    struct emit e;

    emit_init(&e, mcode->rw, mcode->rw + TC_GLUE_LEN,
              (uint64_t)(uintptr_t)mcode->rx);

    glue->exit = emit_rx(&e);
    emit_bytes(&e, jmp_rip, sizeof(jmp_rip));
    emit_u64(&e, (uint64_t)(uintptr_t)world_exit);

    glue->miss = emit_rx(&e);
    emit_u8(&e, 0x49);
    emit_u8(&e, 0xb9);
    emit_u64(&e, (uint64_t)(uintptr_t)&exit_lookup);
    emit_jmp(&e, glue->exit);

    bt->sentinel = emit_rx(&e);
    emit_bytes(&e, lea_rsp, sizeof(lea_rsp));
    glue->lookup = emit_rx(&e);
    emit_jmp_lookup(&e);
    write_probes(&e, config);
    write_checks(&e, config);

    ENSURE(!e.overflow);
    bt->miss = glue->miss;
}
