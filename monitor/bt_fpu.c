/* SPDX-License-Identifier: MIT */
#include "monitor/bt.h"

#include <string.h>

/*
 * The guest's FPU stays in the host's registers while CCFs run and, as far as
 * possible, while the monitor works for them: a whole FXSAVE and FXRSTOR costs
 * ten times what the rest of a world switch does. The monitor computes nothing
 * in floating point, so that only xmm0-7 are in danger, from copies.
 */
/* Offsets in an FXSAVE image (SDM 1 Table 10-2). */
#define FOP_OFFSET   6
#define MXCSR_OFFSET 24
#define MASK_OFFSET  28
#define ST_OFFSET    32
#define XMM_OFFSET   160

void bt_fpu_save_xmm(struct bt_vcpu *bt)
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

void bt_fpu_save(struct bt_vcpu *bt)
{
    static const uint32_t default_mxcsr = 0x1f80;
    uint8_t *image = bt->fpu_image;

    bt_fpu_save_xmm(bt);
    if (bt->fpu_owner != BT_FPU_XMM)
        return;
    __asm__ volatile("fxsave (%0)" : : "r"(image) : "memory");
    __asm__ volatile("fninit; ldmxcsr %0" : : "m"(default_mxcsr));
    take_image(bt->vcpu->fpu, image);
    bt->fpu_owner = BT_FPU_MONITOR;
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
