/* SPDX-License-Identifier: MIT */
#include "emu/cpu/fpu_exec.h"

#include <string.h>

#include "emu/cpu/fpu_code.h"
#include "emu/cpu/mem.h"
#include "emu/cpu/operand.h"

static const struct insn_operand *find_mem(const struct insn *in)
{
    for (unsigned i = 0; i < in->operand_count; i++)
        if (in->operand[i].kind == OPERAND_MEM)
            return &in->operand[i];
    return NULL;
}

bool fpu_exec_begin(struct interp *interp, const struct insn *in, bool aligned,
                    struct fpu_exec *exec)
{
    enum seg seg = operand_seg(in);

    memset(&exec->call, 0, sizeof(exec->call));
    exec->sse_only = false;
    exec->raised = 0;
    exec->mem = in->has_mem ? find_mem(in) : NULL;
    if (exec->mem == NULL)
        return true;
    ASSERT(exec->mem->size <= sizeof(exec->call.buffer));
    exec->offset = operand_address(interp, in);
    if (aligned && exec->mem->size == 16 &&
        ((interp->vcpu->seg_base[seg] + exec->offset) & 15))
        return vcpu_fault_error(interp->vcpu, EXC_GP, 0);
    if (exec->mem->written)
        return mem_probe_write(interp, seg, exec->offset, exec->mem->size);
    return mem_read(interp, seg, exec->offset, exec->call.buffer,
                    exec->mem->size);
}

/* FOP, reserved, FIP, FCS, FDP, FDS: what depends on the host in an image. */
struct pointers {
    uint16_t fop;
    uint32_t fip;
    uint32_t fcs;
    uint32_t fdp;
    uint32_t fds;
};

void fpu_exec_run(struct interp *interp, const struct insn *in,
                  struct fpu_exec *exec)
{
    const void *stub = fpu_code_find(interp->fpu_code, in);
    struct fpu_image *image = fpu_image(interp->vcpu);
    struct pointers keep = {image->fop, image->fip, image->fcs, image->fdp,
                            image->fds};
    uint16_t ignored = 0;

    if (exec->sse_only) {
        fpu_native_run_sse(&exec->call, image, stub);
        return;
    }
    if (UNLIKELY(fpu_has_pending(image))) {
        ignored = image->fsw & (FSW_FLAGS | FSW_SF);
        image->fsw &= (uint16_t) ~(FSW_FLAGS | FSW_SF | FSW_ES | FSW_B);
    }
    fpu_native_run(&exec->call, image, stub);
    exec->raised = image->fsw & ~image->fcw & FSW_FLAGS;
    if (UNLIKELY(ignored)) {
        image->fsw |= ignored;
        fpu_image_update_summary(image);
    }
    image->fop = keep.fop;
    image->fip = keep.fip;
    image->fcs = (uint16_t)keep.fcs;
    image->reserved1 = 0;
    image->fdp = keep.fdp;
    image->fds = (uint16_t)keep.fds;
    image->reserved2 = 0;
    image->mxcsr_mask = MXCSR_MASK;
}

bool fpu_exec_store(struct interp *interp, const struct insn *in,
                    const struct fpu_exec *exec)
{
    if (exec->mem == NULL || !exec->mem->written)
        return true;
    return mem_write(interp, operand_seg(in), exec->offset, exec->call.buffer,
                     exec->mem->size);
}
