/* SPDX-License-Identifier: MIT */
#ifndef MONITOR_WORLD_OFFSETS_H
#define MONITOR_WORLD_OFFSETS_H

/*
 * PURPOSE: offsets that world.S uses; bt_glue.c asserts each of them.
 */
#define VCPU_EAX  0
#define VCPU_ECX  4
#define VCPU_EDX  8
#define VCPU_EBX  12
#define VCPU_ESP  16
#define VCPU_EBP  20
#define VCPU_ESI  24
#define VCPU_EDI  28
#define VCPU_KICK 43
#define VCPU_BT   72

#define BT_MONITOR_SP 0
#define BT_HOST_SP    8
#define BT_WINDOW     16
#define BT_TABLE      24
#define BT_FLAGS      32
#define BT_VCPU       40
#define BT_RECORD     48
#define BT_TARGET     56

#endif /* MONITOR_WORLD_OFFSETS_H */
