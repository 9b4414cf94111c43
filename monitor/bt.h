/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_BT_H
#define MONITOR_BT_H

/*
 * PURPOSE: the binary-translation engine: decides what runs where (a CCF, or
 * the interpreter for one instruction), resolves exits, and turns host faults
 * and kicks inside CCFs into precise guest state.
 *
 * Private to monitor/. The files: bt.c creation and upcalls, bt_run.c the run
 * loop, bt_lookup.c from a gip to host code, bt_context.c lookup tables and host
 * call stacks, bt_signal.c host signals, bt_glue.c common stubs, world.S the
 * world switch.
 *
 * While a CCF runs, guest registers, flags and FPU are in host registers, and
 * vcpu->eflags holds the other flags only, the arithmetic ones and DF as 0.
 * fpu_owner tells how much of the guest's FPU still is in the host's after the
 * CCF was left: bt_fpu_save() and bt_fpu_save_xmm() come before other code. The
 * library is compiled without vector instructions (popf_keep_fpu), as is all
 * that it calls before: cache/ and shadow_mmu/; libc and logging are not.
 */
#include "cache/tc.h"
#include "emu/cpu/interp.h"
#include "monitor/vcpu.h"
#include "shadow_mmu/gmem.h"
#include "shadow_mmu/mmu.h"
#include "translator/xlat.h"

struct bt_config {
    struct vcpu *vcpu; /* borrowed, as all below */
    struct interp *interp;
    struct gmem *gmem;
    size_t tc_len;      /* bytes of code memory */
    uint32_t features;  /* BIT(FEAT_*) of the guest's CPU */
    bool count;         /* count the instructions that CCFs retire */
    bool deterministic; /* time is the retired count: no native RDTSC */
    enum soft_mode soft_mode;
    enum mmu_trace trace;
    uint32_t off;          /* BIT(enum mechanism) */
    uint64_t verify_every; /* exits between two full verifications; 0: none */
    bool no_bmi2;          /* as if the host had none; for tests */
};

#define BT_TABLE_COUNT  65536u
#define BT_TABLE_GROUPS (BT_TABLE_COUNT / PAGE_SIZE)
#define BT_FETCH_COUNT  256u
#define BT_SOFT_COUNT   8192u
#define BT_CODE_COUNT   1024u
#define BT_MIXED_MAX    32u

/* In cycles of the TSC: losses that come within the first make a frame mixed, for
 * the second at first. (docs/ARCHITECTURE.md, "Decisions") */
#define BT_MIXED_WINDOW   (UINT64_C(1) << 16)
#define BT_MIXED_PATIENCE (UINT64_C(1) << 27)
/* A translation within this of a loss, some 1.6 ms, is soon after it. */
#define BT_QUICK_LOSS (UINT64_C(1) << 22)
/* What a user space may spend in soft code before it gets a window: some 0.4 ms at
 * 2.6 GHz; instructions where time is their count. */
#define BT_RENT       (UINT64_C(1) << 20)
#define BT_RENT_INSNS (UINT64_C(1) << 19)
#define BT_CONTEXTS   4u /* of each space; a Linux guest has two to four */
#define BT_NO_MODE    UINT32_MAX
#define BT_PAGE_LIST  1024u
#define BT_GS_UNKNOWN UINT64_MAX
#define BT_STACK_LEN  (64u * KIB)

#define BT_CS_NONE MODE_CODE_COUNT

enum bt_space { BT_KERNEL, BT_USER, BT_SPACE_COUNT };

/* Lookup table: low 16 bits of the gip -> entry of a CCF. */
struct bt_table {
    uint64_t *entry;
    uint16_t *used; /* slots that are not the miss stub, by group */
    uint32_t used_count[BT_TABLE_GROUPS];
};

/* Host call stack. */
struct bt_stack {
    uint8_t *map;    /* guard page, then BT_STACK_LEN bytes */
    uint64_t bottom; /* initial rsp: holds the sentinel */
    uint64_t rsp;
};

/* What CCFs of one mode word in one space run with: entries and return sites
 * check the address, not the mode. */
struct bt_context {
    uint32_t mode; /* BT_NO_MODE: unused */
    uint64_t last_used;
    struct bt_table table;
    struct bt_stack stack;
};

/* The pages of one space that code was fetched from since they were last
 * forgotten. Only their mappings matter to tables and stacks. */
struct bt_pages {
    uint64_t bits[4 * GIB / PAGE_SIZE / 64];
    gva_t list[BT_PAGE_LIST]; /* the first of them */
    uint32_t count;           /* of all, also beyond the list */
};

/* A cached fetch translation; valid while the window's mapping stands. */
struct bt_fetch {
    gva_t page; /* 1: none (not page aligned) */
    gfn_t gfn;
};

/* A user address space: mmu_user_space() numbers them. */
struct bt_user {
    uint64_t life;
    uint64_t spent; /* in code that runs soft; unit of bt_soft_clock() */
    bool windowed;
};

/* Filled slots of a soft TLB, in any order; slots may be listed twice. */
struct bt_soft_list {
    uint8_t slot[SOFT_TLB_SLOTS];
    uint32_t count;
};

/* Stores to a code frame; a hint, collisions overwrite. Times are the TSC's. */
struct bt_code {
    gfn_t gfn;
    uint32_t stores;        /* since code of the frame was last looked for */
    uint16_t losses;        /* stores that took CCFs away */
    uint8_t patience_shift; /* 0: not mixed lately */
    uint64_t since;         /* when losses were first counted */
    uint64_t lost_at;       /* TSC of the last loss */
    uint32_t streak;        /* translations soon after a loss */
    uint32_t debt; /* instructions to interpret before one is translated */
};

/* A frame that is code and data, not traced for now. */
struct bt_mixed {
    gfn_t gfn;
    uint64_t until;
};

/* Sites that trapped, by frame and offset; a hint, collisions overwrite. */
struct bt_site {
    uint64_t key;
    uint32_t traps;
};

static inline uint32_t bt_fetch_slot(gva_t page)
{
    return (page >> PAGE_SHIFT) % BT_FETCH_COUNT;
}

struct bt_vcpu {
    /* Read by world.S; offsets in world_offsets.h. */
    uint64_t monitor_sp;
    uint64_t host_sp;
    uint64_t window;
    uint64_t table;
    uint64_t flags; /* host flags to enter with, and at an exit */
    struct vcpu *vcpu;
    const struct ccf_exit *record; /* of exits made by signal handlers */
    uint32_t target;               /* r8d at the last exit */

    struct interp *interp;
    struct gmem *gmem;
    struct mmu *mmu;
    struct tc *tc;
    struct xlat *xlat;
    struct stats *stats;

    /* Base and limit of CS by their number in the mode word. */
    struct bt_cs {
        uint32_t base;
        uint32_t limit;
    } cs_of[MODE_CODE_COUNT];
    uint32_t cs_count;
    uint32_t cs;           /* of the vcpu's CS when it was asked for last, */
    struct bt_cs cs_asked; /* which was this */
    uint64_t cs_begun;     /* host TSC when numbering began anew */
    struct bt_context contexts[BT_SPACE_COUNT][BT_CONTEXTS];
    struct bt_context *context; /* of the current mode */
    uint64_t context_clock;
    struct bt_pages fetched[BT_SPACE_COUNT];
    struct bt_fetch fetch[BT_SPACE_COUNT][BT_FETCH_COUNT];
    struct bt_site sites[BT_SOFT_COUNT];
    struct bt_code code[BT_CODE_COUNT];
    struct bt_mixed mixed[BT_MIXED_MAX];
    uint32_t mixed_count;
    uint64_t mixed_window; /* BT_MIXED_*; tests have their own */
    uint64_t mixed_patience;
    uint64_t quick_loss; /* BT_QUICK_LOSS; 0: what changes is translated anew */
    struct bt_soft_list soft_list[BT_SPACE_COUNT];
    struct bt_user users[MMU_SPACES];
    struct bt_user *user; /* the current one; NULL: not looked up yet */
    uint64_t rent; /* what one spends before it gets a window; BT_RENT_* */
    enum soft_mode soft_mode;
    uint64_t miss; /* address of the miss stub */
    uint64_t sentinel;
    uint64_t gs_base; /* what GS base is now */
    uint32_t mode;    /* of the current CCF */
    uint64_t stale;   /* bumped when an address may mean other code */
    bool reset_stacks;
    uint32_t off; /* BIT(enum mechanism) */
    uint64_t verify_every;
    uint64_t verify_count; /* exits since */
    /* What FXSAVE stores; bytes that it leaves alone stay zero. */
    uint8_t fpu_image[512] __attribute__((aligned(16)));
    uint8_t fpu_owner;  /* enum bt_fpu */
    bool stepping;      /* rolling forward to a boundary by TF */
    uint64_t step_from; /* address of the instruction stepped over */
    uint64_t shadow;    /* first address in an STI's shadow since the kick */
    bool count;
    uint32_t features;  /* of the guest's CPU */
    bool deterministic; /* time is the retired count: no native RDTSC */
    bool single;        /* bt_run_tu(): leave after one TU */
    enum exit_kind last_exit;
    uint64_t entered;    /* host address the last CCF was entered at */
    struct ccf *trapped; /* of the last exit by a signal handler */
    bool trapped_soft;   /* ... at an instruction on the soft path */
    void *handler_stack;
    size_t handler_stack_len;
};

/* 0 or -errno with *out untouched. The calling thread is the vcpu's. */
MUST_CHECK int bt_create(const struct bt_config *config, struct bt_vcpu **out);
void bt_destroy(struct bt_vcpu *bt);

/* Run until an exit; all guest state is in the vcpu before and after. */
enum vcpu_exit bt_run(struct bt_vcpu *bt);

/* Run one TU, or what stands for it: an instruction that is interpreted, the
 * delivery of an exception. Every exit of the CCF returns: nothing is chained,
 * nothing is looked up in a table. VCPU_EXIT_BUDGET when nothing else happened.
 * Switching between the two ways of running is cheap. */
enum vcpu_exit bt_run_tu(struct bt_vcpu *bt);

/* The interpreter executed INVLPG; MOV CR3, or a change of CR0, CR4 or EFER
 * that drops global translations too. */
void bt_tlb_flushed_page(struct bt_vcpu *bt, gva_t gva);
void bt_tlb_flushed(struct bt_vcpu *bt, bool globals_too);

/* NULL when the cache's and the shadow MMU's invariants hold, else a static
 * string that names the broken one. Slow. */
const char *bt_verify(struct bt_vcpu *bt);

/* With verify_every: look at what changed since the last exit, and every so often
 * at everything. False: the VM is stopped with the broken invariant. */
bool bt_verify_step(struct bt_vcpu *bt);

/* Forget everything derived from guest state. */
void bt_flush(struct bt_vcpu *bt);

/* Exits that signal handlers make. */
extern const struct ccf_exit bt_exit_cancel;
extern const struct ccf_exit bt_exit_kick;
extern const struct ccf_exit bt_exit_exc;
extern const struct ccf_exit bt_exit_emulate;
extern const struct ccf_exit bt_exit_soft;

/* Write the common stubs into the cache's glue area, and where they are into
 * config->glue. */
void bt_glue_write(struct bt_vcpu *bt, struct xlat_config *config);

/* Enter generated code at host address pc; returns the record of the exit it
 * was left by, or &bt_exit_cancel when a kick kept it from entering. */
const struct ccf_exit *world_enter(struct bt_vcpu *bt, uint64_t pc);
void world_exit(void);
void world_leave(void);
void world_cancel(void);
void world_enter_restartable(void);
void world_enter_end(void);

/* Whether CCFs can run in the vcpu's state, else the interpreter does; the mode
 * word of those that do. (bt_mode.c) */
bool bt_can_translate(struct bt_vcpu *bt);
uint32_t bt_current_mode(struct bt_vcpu *bt);

/* Begin to number segments of code anew if there is no number left for the
 * current one, and drop all code; no CCF is running. */
void bt_mode_poll(struct bt_vcpu *bt);

/* The vcpu's eip as a linear address, by which code is found; and back. */
static inline gip_t bt_gip(const struct vcpu *vcpu)
{
    return vcpu->seg_base[SEG_CS] + vcpu->eip;
}

static inline void bt_set_gip(struct vcpu *vcpu, gip_t gip)
{
    vcpu->eip = gip - vcpu->seg_base[SEG_CS];
}

/* Set up and tear down contexts. (bt_context.c) */
MUST_CHECK int bt_context_init(struct bt_vcpu *bt);
void bt_context_fini(struct bt_vcpu *bt);

/* Make the mode word current, with a context of its own: the least recently
 * used one is taken over if there is none. */
void bt_set_mode(struct bt_vcpu *bt, uint32_t mode);

/* Enter a CCF in the current context's table. */
void bt_table_set(struct bt_vcpu *bt, gip_t gip, uint64_t entry);

/* Code of a page is about to run in a space. */
void bt_page_fetched(struct bt_vcpu *bt, enum bt_space space, gva_t page);

/* Forget what contexts and fetch cache know of a space, or of one page in all
 * spaces, because what is mapped there may change. */
void bt_forget_space(struct bt_vcpu *bt, enum bt_space space);
void bt_forget_page(struct bt_vcpu *bt, gva_t page);

/* NULL, or what is wrong with what is known of fetched pages. */
const char *bt_context_verify(const struct bt_vcpu *bt);

/* Host address to run gip at, translating it if need be; 0 when the
 * interpreter has to run the instruction; 1 when vcpu->exc is filled. */
uint64_t bt_lookup(struct bt_vcpu *bt, gip_t gip);
#define BT_INTERPRET 0
#define BT_FAULT     1

/* Who owns the host's FPU registers. */
enum bt_fpu {
    BT_FPU_MONITOR, /* vcpu->fpu is whole, the host has C's defaults */
    BT_FPU_XMM,     /* xmm0-7 are saved: C that only moves data may run */
    BT_FPU_GUEST    /* the guest's state is live in them */
};

/* Make vcpu->fpu whole; save xmm0-7 only, which C's copies may clobber and
 * which costs a tenth; give the FPU back to the guest. (bt_fpu.c) */
void bt_fpu_save(struct bt_vcpu *bt);
void bt_fpu_save_xmm(struct bt_vcpu *bt);
void bt_fpu_load(struct bt_vcpu *bt);

/* Frames that are code and are stored to (bt_code.c). struct mmu_host's upcall:
 * bytes of a traced code frame were stored to. Code of a frame is looked for. A
 * checked CCF found its source changed. Trace mixed frames again whose time is
 * up; comes between two runs. */
void bt_code_written(void *opaque, gfn_t gfn, unsigned offset, unsigned len);
void bt_code_wanted(struct bt_vcpu *bt, gfn_t gfn);
void bt_code_changed(struct bt_vcpu *bt, struct ccf *ccf);
void bt_code_poll(struct bt_vcpu *bt);

/* Code of the frame changes all the time: interpret the next instruction. */
bool bt_code_waits(struct bt_vcpu *bt, gfn_t gfn);
bool bt_code_is_mixed(const struct bt_vcpu *bt, gfn_t gfn);

/* A site trapped; true when it is to be translated soft. */
bool bt_site_trapped(struct bt_vcpu *bt, gfn_t gfn, uint32_t offset,
                     uint32_t weight);
bool bt_site_is_soft(void *opaque, gfn_t gfn, uint32_t offset);

/* The soft TLB (bt_soft.c): empty it, or of the large page around gva; enter the
 * page at gva, if the interpreter has just accessed it, for the vcpu's CPL. */
void bt_soft_flush(struct bt_vcpu *bt);
void bt_soft_flush_page(struct bt_vcpu *bt, gva_t gva);
void bt_soft_fill(struct bt_vcpu *bt, gva_t gva);

/* The address that a soft operand at the low 32 bits of a host address has; false
 * when its page is not in the soft TLB any more. */
bool bt_soft_gva(const struct bt_vcpu *bt, bool user, uint32_t host,
                 gva_t *gva);

/* Whether code in the vcpu's space runs soft. */
bool bt_runs_soft(struct bt_vcpu *bt);

/* Time as a soft space spends it; code has run for so long. */
uint64_t bt_soft_clock(const struct bt_vcpu *bt);
void bt_soft_spent(struct bt_vcpu *bt, uint64_t spent);

/* The handlers of SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGTRAP; installed once
 * a process. They act for the bt_vcpu that bt_signal_bind() gave the thread. */
MUST_CHECK int bt_signal_install(void);
MUST_CHECK int bt_signal_bind(struct bt_vcpu *bt);
void bt_signal_unbind(struct bt_vcpu *bt);
/* Make the calling thread bt's, before it enters CCFs: another VM may have run
 * on it. 0 or -errno. */
MUST_CHECK int bt_signal_activate(struct bt_vcpu *bt);
void bt_kicked(struct bt_vcpu *bt, void *ucontext);

/* Point the host's GS base at a window (bt_gs.c). */
void bt_set_gs_base(struct bt_vcpu *bt, uint64_t base);

#endif /* MONITOR_BT_H */
