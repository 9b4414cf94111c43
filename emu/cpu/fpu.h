/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_FPU_H
#define EMU_CPU_FPU_H

/*
 * PURPOSE: the guest's x87, MMX and SSE state, and the rules for touching it.
 *
 * The state is vcpu->fpu, an FXSAVE image in the 32-bit layout (SDM 1 10.5.1
 * "FXSAVE Area"). Invariants, which every instruction keeps and whoever loads
 * the image from elsewhere must establish (fpu_image_fix()):
 *
 *   - FSW.ES and B say whether an unmasked exception flag is set;
 *   - MXCSR has no bit outside of MXCSR_MASK, so that FXRSTOR takes the image;
 *   - the XMM8-15 area and all reserved bytes are zero, MXCSR_MASK is that of
 *     the guest, not the host's;
 *   - FIP, FCS, FDP, FDS and FOP are guest values. FOP is that of the last
 *     instruction that raised an unmasked exception (SDM 1 8.1.9.1 "Fopcode
 *     Compatibility Sub-mode").
 *
 * An engine that keeps the state in the host's FPU stores it with FXSAVE and
 * calls fpu_image_fix().
 */
#include "emu/cpu/fpu_native.h"
#include "emu/cpu/interp_priv.h"

/* x87 status word: SDM 1 8.1.3 "x87 FPU Status Register". */
#define FSW_FLAGS     0x3fu
#define FSW_IE        BIT(0)
#define FSW_PE        BIT(5)
#define FSW_SF        BIT(6)
#define FSW_ES        BIT(7)
#define FSW_TOP       (7u << 11)
#define FSW_TOP_SHIFT 11
#define FSW_B         BIT(15)

/* x87 control word: SDM 1 8.1.5. Bit 6 is always set, the others reserved. */
#define FCW_MASKS   0x3fu
#define FCW_DEFINED 0x1f3fu
#define FCW_ONE     BIT(6)
#define FCW_INIT    0x37fu
#define FOP_MASK    0x7ffu

/* SDM 1 10.2.3 "MXCSR Control and Status Register". */
#define MXCSR_FLAGS       0x3fu
#define MXCSR_DAZ         BIT(6)
#define MXCSR_MASKS       0x1f80u
#define MXCSR_MASKS_SHIFT 7
#define MXCSR_UM          BIT(11)
#define MXCSR_FTZ         BIT(15)
#define MXCSR_MASK        0xffffu
#define MXCSR_INIT        0x1f80u

struct fpu_image {
    uint16_t fcw;
    uint16_t fsw;
    uint8_t ftw; /* one bit for each physical register: 1 is not empty */
    uint8_t reserved0;
    uint16_t fop;
    uint32_t fip;
    uint16_t fcs;
    uint16_t reserved1;
    uint32_t fdp;
    uint16_t fds;
    uint16_t reserved2;
    uint32_t mxcsr;
    uint32_t mxcsr_mask;
    uint8_t st[8][16]; /* ST0 first, 10 bytes each; MMn is physical */
    uint8_t xmm[8][16];
    uint8_t reserved3[224];
} __attribute__((may_alias));

_Static_assert(sizeof(struct fpu_image) == 512, "FXSAVE image");

_Static_assert(offsetof(struct fpu_image, fsw) == FPU_IMAGE_FSW, "FSW");
_Static_assert(FSW_ES == FPU_IMAGE_FSW_ES, "FSW.ES");
_Static_assert(offsetof(struct fpu_image, mxcsr) == FPU_IMAGE_MXCSR, "MXCSR");
_Static_assert(offsetof(struct fpu_image, xmm) == FPU_IMAGE_XMM, "XMM0");

#define FPU_IMAGE_LEN   512u
#define FPU_IMAGE_USED  288u /* what FXSAVE writes outside of 64-bit mode */
#define FPU_IMAGE_ALIGN 16u

static inline struct fpu_image *fpu_image(struct vcpu *vcpu)
{
    return (struct fpu_image *)vcpu->fpu;
}

static inline bool fpu_has_pending(const struct fpu_image *image)
{
    return image->fsw & FSW_ES;
}

/* Establish the invariants above, taking values as FXRSTOR does. MXCSR's
 * reserved bits are dropped: the instructions check them before. */
void fpu_image_fix(struct fpu_image *image);

/* Recompute ES and B from the flags and the masks. */
void fpu_image_update_summary(struct fpu_image *image);

/* Change TOP. The physical registers stay, so ST0-7 move. */
void fpu_image_set_top(struct fpu_image *image, unsigned top);

/* What every MMX instruction but EMMS does first: TOP becomes 0, all registers
 * valid (SDM 3A 12.2 "The MMX State and MMX Register Aliasing"). */
void fpu_image_enter_mmx(struct fpu_image *image);

/* FNINIT: SDM 2A "FINIT/FNINIT". */
void fpu_image_init(struct fpu_image *image);

/* May the instruction run? STEP_NEXT if so, else what the handler returns.
 * In this order: #UD, #NM, #MF. */
MUST_CHECK enum step fpu_check_x87_control(struct interp *interp); /* #NM */
MUST_CHECK enum step fpu_check_x87(struct interp *interp); /* #NM, #MF */
MUST_CHECK enum step fpu_check_mmx(struct interp *interp);
MUST_CHECK enum step fpu_check_sse(struct interp *interp);

/* A waiting instruction takes the pending x87 exception: #MF, or it waits for
 * IRQ 13. STEP_NEXT with the exception still pending when IGNNE# is asserted. */
MUST_CHECK enum step fpu_check_pending(struct interp *interp);

/* After an instruction that may have cleared the pending exception. */
void fpu_release_ferr(struct interp *interp);

#endif /* EMU_CPU_FPU_H */
