/* SPDX-License-Identifier: MIT */
#include "emu/cpu/interp_priv.h"

/* TODO(#2): goes with the file that defines them. */
__attribute__((weak)) enum step interp_push_seg(struct interp *interp,
                                                const struct insn *in)
{
    return interp_ud(interp, in);
}

__attribute__((weak)) enum step interp_pop_seg(struct interp *interp,
                                               const struct insn *in)
{
    return interp_ud(interp, in);
}
