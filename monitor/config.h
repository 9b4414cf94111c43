/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_CONFIG_H
#define MONITOR_CONFIG_H

/*
 * PURPOSE: what a virtual machine is to be, as plain values: the command line
 * fills one in, and tests and embedders do so directly. Strings are borrowed
 * (of argv) and must outlive the VM.
 */
#include "emu/dev/machine_pc.h"
#include "monitor/base.h"
#include "shadow_mmu/mmu.h"

#define SERIAL_COUNT 4u

#define RAM_LEN_DEFAULT (128u * MIB) /* QEMU's */
#define RAM_LEN_MIN     (1u * MIB)
#define RAM_LEN_MAX     (3u * GIB)

/* Where the bytes of a serial port, console or monitor go. */
enum char_kind {
    CHAR_NONE,    /* the device is not there */
    CHAR_NULL,    /* there; output is dropped, nothing arrives */
    CHAR_STDIO,   /* the terminal, every byte as it is */
    CHAR_MUX,     /* the terminal, shared with the monitor by Ctrl-A */
    CHAR_FILE,    /* output to a file */
    CHAR_BACKEND, /* output to a function of the embedder */
};

struct char_config {
    enum char_kind kind;
    const char *path;            /* CHAR_FILE */
    struct char_backend backend; /* CHAR_BACKEND */
};

/* -accel lockstep: both engines, compared (monitor/lockstep.h). */
struct lockstep_config {
    bool on;
    uint64_t chain_until; /* retired count until which CCFs are chained */
};

/* -accel bt,sample=SECONDS: engines compared now and then (monitor/sample.h). */
struct sample_config {
    uint64_t seconds; /* between two samples; 0: none */
    uint64_t insns;   /* of a sample; 0: the default */
};

enum stats_format { STATS_NONE, STATS_TEXT, STATS_JSON };

struct config {
    uint64_t ram_len; /* bytes */
    const char *name;
    const char *kernel;
    const char *initrd;
    const char *append;
    const struct engine_ops *engine;
    /* Guest time is a function of the retired instructions: ns for each, plus
     * what HLT slept. 0: it is the host's monotonic clock. */
    uint64_t insn_ns;
    struct lockstep_config lockstep;
    struct sample_config sample;
    size_t tc_len; /* bytes of translation cache; 0: the engine's default */
    enum soft_mode soft_mode;
    enum mmu_trace trace;
    uint32_t off;          /* BIT(enum mechanism) */
    uint64_t verify_every; /* -accel bt,verify=N: exits between full looks */
    uint32_t features;     /* BIT(enum insn_feature) */
    struct char_config serial[SERIAL_COUNT];
    struct char_config debugcon;
    struct char_config monitor; /* CHAR_NONE, CHAR_STDIO or CHAR_MUX */
    int debug_exit_port;        /* -1: no isa-debug-exit */
    int64_t rtc_base;           /* seconds since 1970 at power-up */
    bool no_reboot;
    bool no_shutdown;
    bool paused; /* -S */
    bool verify; /* --verify: check invariants as the guest runs */
    enum stats_format stats;
    bool dump_ram; /* a core dump of popf has the guest's RAM in it */
    bool sandbox;  /* the front end gives up system calls (monitor/sandbox.h) */
};

/* QEMU's defaults where it has some. */
void config_init(struct config *config);

#endif /* MONITOR_CONFIG_H */
