/* SPDX-License-Identifier: MIT */
#include "monitor/base.h"

/*
 * AddressSanitizer makes calls of every copy of memory, of a structure even, and
 * its own functions use vector registers. Code that runs while the guest's FPU
 * is live calls these instead (popf_keep_fpu in CMakeLists.txt).
 */
void *general_memcpy(void *to, const void *from, size_t len);
void *general_memmove(void *to, const void *from, size_t len);
void *general_memset(void *to, int value, size_t len);

void *general_memcpy(void *to, const void *from, size_t len)
{
    void *end = to;

    __asm__ volatile("rep movsb" : "+D"(end), "+S"(from), "+c"(len)::"memory");
    return to;
}

void *general_memmove(void *to, const void *from, size_t len)
{
    uint8_t *last = (uint8_t *)to + len - 1;
    const uint8_t *last_from = (const uint8_t *)from + len - 1;

    if ((uintptr_t)to - (uintptr_t)from >= len)
        return general_memcpy(to, from, len);
    __asm__ volatile("std; rep movsb; cld"
                     : "+D"(last), "+S"(last_from), "+c"(len)::"memory");
    return to;
}

void *general_memset(void *to, int value, size_t len)
{
    void *end = to;

    __asm__ volatile("rep stosb"
                     : "+D"(end), "+c"(len)
                     : "a"(value)
                     : "memory");
    return to;
}
