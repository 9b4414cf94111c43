/* SPDX-License-Identifier: MIT */
#include "monitor/bt.h"

#include <string.h>

/*
 * The guest's FPU stays in the host's registers while CCFs run and, as far as
 * possible, while the monitor works for them: a whole FXSAVE and FXRSTOR costs
 * ten times what the rest of a world switch does. The monitor computes nothing
 * in floating point, so that only xmm0-7 are in danger, from copies.
 *
 * The pointers (FIP, FDP, FOP) are the guest's in vcpu->fpu. They matter to the
 * handler of an x87 exception: when one has come up in a CCF, they are made from
 * the host's, which name the host's instruction. Otherwise they stay as they
 * are, as in the interpreter (emu/cpu/x87.c).
 */
/* Offsets in an FXSAVE image (SDM 1 Table 10-2). */
#define FSW_OFFSET   2
#define FOP_OFFSET   6
#define FIP_OFFSET   8
#define FCS_OFFSET   12
#define FDP_OFFSET   16
#define FDS_OFFSET   20
#define MXCSR_OFFSET 24
#define MASK_OFFSET  28
#define ST_OFFSET    32
#define XMM_OFFSET   160

static void save_xmm(struct bt_vcpu *bt)
{
    uint8_t *xmm = bt->vcpu->fpu + XMM_OFFSET;

    if (bt->fpu_owner != BT_FPU_GUEST)
        return;
    __asm__ volatile("movaps %%xmm0, 0x00(%0)\n\t"
                     "movaps %%xmm1, 0x10(%0)\n\t"
                     "movaps %%xmm2, 0x20(%0)\n\t"
                     "movaps %%xmm3, 0x30(%0)\n\t"
                     "movaps %%xmm4, 0x40(%0)\n\t"
                     "movaps %%xmm5, 0x50(%0)\n\t"
                     "movaps %%xmm6, 0x60(%0)\n\t"
                     "movaps %%xmm7, 0x70(%0)"
                     :
                     : "r"(xmm)
                     : "memory");
    bt->fpu_owner = BT_FPU_XMM;
}

/* All but what the host puts in of its own: the pointers, which would show host
 * addresses (the guest's keep what it loaded, as in the interpreter), and the
 * mask of MXCSR. */
static void take_image(uint8_t *to, const uint8_t *image)
{
    memcpy(to, image, FOP_OFFSET);
    memcpy(to + MXCSR_OFFSET, image + MXCSR_OFFSET, MASK_OFFSET - MXCSR_OFFSET);
    memcpy(to + ST_OFFSET, image + ST_OFFSET, XMM_OFFSET - ST_OFFSET);
}

static uint32_t get32(const uint8_t *from)
{
    uint32_t value;

    memcpy(&value, from, sizeof(value));
    return value;
}

static void put16(uint8_t *to, unsigned value)
{
    const uint16_t half = (uint16_t)value;

    memcpy(to, &half, sizeof(half));
}

/* The CCF whose code holds the low 32 bits of a host address. */
static struct ccf *find_ccf(const struct bt_vcpu *bt, uint32_t low,
                            uint64_t *rx)
{
    const uint64_t base = (uint64_t)(uintptr_t)tc_mcode(bt->tc)->rx;

    *rx = base + (uint32_t)(low - (uint32_t)base);
    return mcode_contains(tc_mcode(bt->tc), *rx) ? tc_find_host(bt->tc, *rx)
                                                 : NULL;
}

/* Decode the CCF's instruction at an offset from its gip; it may cross into
 * the CCF's second frame. */
static bool decode_at(const struct bt_vcpu *bt, const struct ccf *ccf,
                      uint16_t gip_offset, struct insn *in)
{
    const struct insn_mode mode = {.features = bt->features,
                                   .code32 = !(ccf->mode & MODE_CODE16)};
    uint32_t offset = (ccf->gip & PAGE_MASK) + gip_offset;
    uint8_t bytes[INSN_MAX_LEN] = {0};

    for (uint32_t i = 0; i < sizeof(bytes); i++) {
        uint32_t source = (offset + i) >> PAGE_SHIFT;
        uint8_t *hva = NULL;

        if (source >= ccf->source_count ||
            gmem_lookup(bt->gmem, ccf->source[source].gfn, &hva, NULL) ==
                GMEM_NONE)
            break;
        bytes[i] = hva[(offset + i) & PAGE_MASK];
    }
    return insn_decode(in, mode, bytes, sizeof(bytes)) == INSN_OK;
}

/* An exception has become pending in a CCF. */
static void take_pointers(struct bt_vcpu *bt, const uint8_t *image)
{
    const struct vcpu *vcpu = bt->vcpu;
    uint8_t *to = bt->vcpu->fpu;
    const struct ccf_point *point = NULL;
    uint32_t fdp = get32(image + FDP_OFFSET);
    uint64_t rx;
    struct ccf *ccf = find_ccf(bt, get32(image + FIP_OFFSET), &rx);
    struct insn in;
    uint32_t fip;
    bool exact;

    if (ccf != NULL)
        point = ccf_find_point(ccf, rx, &exact);
    if (point == NULL || !decode_at(bt, ccf, point->gip_offset, &in))
        return;
    fip = ccf->gip + point->gip_offset - vcpu->seg_base[SEG_CS];
    memcpy(to + FIP_OFFSET, &fip, sizeof(fip));
    put16(to + FCS_OFFSET, vcpu->seg[SEG_CS].selector);
    put16(to + FOP_OFFSET, (in.opcode & 7u) << 8 | in.modrm);
    if (!in.has_mem)
        return;
    if ((point->flags & POINT_SOFT) &&
        !bt_soft_gva(bt, ccf->mode & MODE_USER, fdp, &fdp))
        return;
    fdp -= vcpu->seg_base[in.mem.seg];
    memcpy(to + FDP_OFFSET, &fdp, sizeof(fdp));
    put16(to + FDS_OFFSET, vcpu->seg[in.mem.seg].selector);
}

#define FSW_ES BIT(7)

void bt_fpu_save(struct bt_vcpu *bt)
{
    static const uint32_t default_mxcsr = 0x1f80;
    uint8_t *image = bt->fpu_image;

    save_xmm(bt);
    if (bt->fpu_owner != BT_FPU_XMM)
        return;
    __asm__ volatile("fxsave (%0)" : : "r"(image) : "memory");
    __asm__ volatile("fninit; ldmxcsr %0" : : "m"(default_mxcsr));
    if ((image[FSW_OFFSET] & FSW_ES) && !(bt->vcpu->fpu[FSW_OFFSET] & FSW_ES))
        take_pointers(bt, image);
    take_image(bt->vcpu->fpu, image);
    bt->fpu_owner = BT_FPU_MONITOR;
}

/* The pointers of a pending exception are made right away: what runs next may
 * overwrite the instruction that they are made from. */
void bt_fpu_save_xmm(struct bt_vcpu *bt)
{
    uint16_t fsw;

    if (bt->fpu_owner != BT_FPU_GUEST)
        return;
    __asm__ volatile("fnstsw %0" : "=a"(fsw));
    if (fsw & FSW_ES)
        bt_fpu_save(bt);
    else
        save_xmm(bt);
}

void bt_fpu_load(struct bt_vcpu *bt)
{
    const uint8_t *xmm = bt->vcpu->fpu + XMM_OFFSET;

    if (bt->fpu_owner == BT_FPU_MONITOR)
        __asm__ volatile("fxrstor (%0)" : : "r"(bt->vcpu->fpu) : "memory");
    else if (bt->fpu_owner == BT_FPU_XMM)
        __asm__ volatile("movaps 0x00(%0), %%xmm0\n\t"
                         "movaps 0x10(%0), %%xmm1\n\t"
                         "movaps 0x20(%0), %%xmm2\n\t"
                         "movaps 0x30(%0), %%xmm3\n\t"
                         "movaps 0x40(%0), %%xmm4\n\t"
                         "movaps 0x50(%0), %%xmm5\n\t"
                         "movaps 0x60(%0), %%xmm6\n\t"
                         "movaps 0x70(%0), %%xmm7"
                         :
                         : "r"(xmm)
                         : "memory");
    bt->fpu_owner = BT_FPU_GUEST;
}
