/* SPDX-License-Identifier: MIT */
#ifndef EMU_CPU_FPU_NATIVE_H
#define EMU_CPU_FPU_NATIVE_H

/*
 * PURPOSE: running one FPU instruction on the host's FPU: what fpu_native.S
 * needs of C. Included by the assembler too, which sees the offsets only.
 */
#define FPU_CALL_EAX       16
#define FPU_CALL_ECX       20
#define FPU_CALL_EDX       24
#define FPU_CALL_USE_FLAGS 28
#define FPU_CALL_FLAGS     32
#define FPU_IMAGE_FSW      2
#define FPU_IMAGE_MXCSR    24
#define FPU_IMAGE_XMM      160
#define FPU_IMAGE_FSW_ES   0x80

#ifndef __ASSEMBLER__
#    include "monitor/base.h"

/* The operands of a stub (fpu_code.h). */
struct fpu_call {
    uint8_t buffer[16]; /* the memory operand */
    uint32_t eax;       /* the general-register operand, in and out */
    uint32_t ecx;       /* out */
    uint32_t edx;       /* in */
    uint32_t use_flags; /* flags are in and out, else neither */
    uint64_t flags;     /* only arithmetic flags may be set */
} __attribute__((aligned(16)));

_Static_assert(offsetof(struct fpu_call, eax) == FPU_CALL_EAX, "eax");
_Static_assert(offsetof(struct fpu_call, ecx) == FPU_CALL_ECX, "ecx");
_Static_assert(offsetof(struct fpu_call, edx) == FPU_CALL_EDX, "edx");
_Static_assert(offsetof(struct fpu_call, use_flags) == FPU_CALL_USE_FLAGS,
               "use_flags");
_Static_assert(offsetof(struct fpu_call, flags) == FPU_CALL_FLAGS, "flags");

/* Load the FXSAVE image, run the stub, save the image. The image must have no
 * x87 exception pending that the stub would take, and MXCSR must be masked: no
 * signal can come of it. */
void fpu_native_run(struct fpu_call *call, void *image, const void *stub);

/* The same for a stub that leaves the x87 and MMX state alone: only the XMM
 * registers and MXCSR are loaded and saved. The image is 16-byte aligned. */
void fpu_native_run_sse(struct fpu_call *call, void *image, const void *stub);

/* Serialise instruction fetch after code was written through another mapping
 * (SDM 3A 8.1.3 "Handling Self- and Cross-Modifying Code"). IRET, because CPUID
 * leaves a virtual machine. */
void fpu_native_serialize(void);
#endif

#endif /* EMU_CPU_FPU_NATIVE_H */
