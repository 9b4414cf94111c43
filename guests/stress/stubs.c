/* SPDX-License-Identifier: MIT */
#include "stubs.h"

#include "lib/lib.h"
#include "lib/trap.h"
#include "stress.h"

/*
 * A stub gets the address in EAX and finds the value for a store in
 * stub_value, which ring 3 can read. It is
 *
 *     mov ecx, eax
 *     mov edx, [stub_value]
 *     the access, by [ecx]; a value read goes to EAX
 *     ret, or int 80h in ring 3
 */
enum { COPIES = 12, STUB_LEN = 48 };

struct form {
    uint8_t kind;
    uint8_t len;
    const char *bytes;
};

static const struct form forms[] = {
#define FORM(kind, text, bytes) {ACCESS_##kind, sizeof(bytes) - 1, bytes},
#include "stubs.def"
#undef FORM
};

/* Elsewhere each time: a place that has trapped may be remembered. */
static uint8_t *stubs; /* in user_page, behind the value */
#define stub_value (*(volatile uint32_t *)user_page)

static uint8_t *stub_at(enum access kind, bool user, uint32_t copy)
{
    return stubs + STUB_LEN * ((kind * 2 + user) * COPIES + copy);
}

static const struct form *random_form(enum access kind)
{
    const struct form *form;

    do
        form = &forms[random_below(sizeof(forms) / sizeof(forms[0]))];
    while (form->kind != kind);
    return form;
}

static void put_stub(enum access kind, bool user, uint32_t copy)
{
    const struct form *form = random_form(kind);
    uint8_t *p = stub_at(kind, user, copy);
    uint32_t value = (uint32_t)user_page;

    *p++ = 0x89; /* mov ecx, eax */
    *p++ = 0xC1;
    *p++ = 0x8B; /* mov edx, [stub_value] */
    *p++ = 0x15;
    memcpy(p, &value, 4);
    p += 4;
    for (uint32_t nops = random_below(8); nops; nops--)
        *p++ = 0x90;
    memcpy(p, form->bytes, form->len);
    p += form->len;
    *p++ = user ? 0xCD : 0xC3;
    *p++ = 0x80;
}

void stubs_make(void)
{
    stubs = user_page + 64 + random_below(PAGE);
    for (uint32_t kind = 0; kind < ACCESS_KINDS; kind++) {
        for (uint32_t copy = 0; copy < COPIES; copy++) {
            put_stub(kind, false, copy);
            put_stub(kind, true, copy);
        }
    }
}

struct outcome stub_run(enum access kind, bool user, uint32_t va,
                        uint32_t value)
{
    static const uint8_t *stub; /* in memory: the call has no register left */
    uint32_t result = va;
    struct outcome outcome;

    stub = stub_at(kind, user, random_below(COPIES));
    stub_value = value;
    if (user) {
        user_run(stub, va);
        result = last.eax;
        if (last.vector == VECTOR_EXIT)
            last.vector = NO_TRAP;
    } else {
        TRY("call %1",
            : "+a"(result)
            : "m"(stub)
            : "ecx", "edx", "esi", "edi", "ebx", "memory", "cc");
    }
    if (last.vector != NO_TRAP && last.vector != EXC_PF)
        stress_fail("exception of an access", last.vector, EXC_PF);
    outcome = (struct outcome){.fault = last.vector == EXC_PF,
                               .error = last.error,
                               .cr2 = last_cr2,
                               .value = result};
    return outcome;
}
