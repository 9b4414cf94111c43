/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_HOST_FLAGS_H
#define EMU_CPU_HOST_FLAGS_H

/*
 * PURPOSE: the flags that the manual leaves undefined, as the host's CPU
 * leaves them.
 *
 * The translator runs the guest's instruction itself, so what it leaves in an
 * undefined flag is the host's choice. A guest does not rely on it but stores
 * it, with every PUSHF. Where two engines are to live the same life, the
 * interpreter asks the host: interp_host.host_flags.
 */
#include "emu/cpu/interp_priv.h"

/* What the host's instruction finds: EAX, EDX and ECX, in the roles of
 * host_flags.c's table, and the flags before it. */
struct host_flags_input {
    uint32_t eax;
    uint32_t edx;
    uint32_t ecx;
    uint32_t flags;
};

void host_flags_run(struct interp *interp, const struct insn *in,
                    const struct host_flags_input *input);

/* Replace the undefined flags of the instruction, which has been carried out,
 * by the host's, if that is wanted. */
static inline void host_flags_follow(struct interp *interp,
                                     const struct insn *in,
                                     const struct host_flags_input *input)
{
    if (UNLIKELY(interp->host.host_flags))
        host_flags_run(interp, in, input);
}

#endif /* EMU_CPU_HOST_FLAGS_H */
