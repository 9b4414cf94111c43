/* SPDX-License-Identifier: MIT */
#include "lib/lib.h"

#include <stdarg.h>

#include "lib/cpu.h"

enum { COM1 = 0x3F8, LSR_DATA = 1, LSR_EMPTY = 0x20 };

void *memcpy(void *to, const void *from, size_t len)
{
    char *t = to;
    const char *f = from;

    while (len--)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t len)
{
    char *t = to;
    const char *f = from;

    if (t <= f)
        return memcpy(to, from, len);
    while (len--)
        t[len] = f[len];
    return to;
}

void *memset(void *to, int value, size_t len)
{
    char *t = to;

    while (len--)
        *t++ = (char)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t len)
{
    const uint8_t *p = a;
    const uint8_t *q = b;

    for (; len; len--, p++, q++) {
        if (*p != *q)
            return *p - *q;
    }
    return 0;
}

size_t strlen(const char *s)
{
    size_t len = 0;

    while (s[len])
        len++;
    return len;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return (uint8_t)*a - (uint8_t)*b;
}

bool has_word(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (const char *p = list; *p; p++) {
        bool starts = p == list || p[-1] == ' ';

        if (starts && strlen(p) >= len && !memcmp(p, word, len) &&
            (p[len] == ' ' || p[len] == '\0'))
            return true;
    }
    return false;
}

bool word_value(const char *list, const char *name, uint32_t *value)
{
    size_t len = strlen(name);

    for (const char *p = list; *p; p++) {
        bool starts = p == list || p[-1] == ' ';

        if (!starts || strlen(p) <= len || memcmp(p, name, len) ||
            p[len] != '=')
            continue;
        *value = 0;
        for (p += len + 1; *p >= '0' && *p <= '9'; p++)
            *value = *value * 10 + (uint32_t)(*p - '0');
        return true;
    }
    return false;
}

/* 16550A: 115200 baud, 8N1, FIFO on, no interrupts. */
void serial_init(void)
{
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 0x80);
    outb(COM1 + 0, 1);
    outb(COM1 + 1, 0);
    outb(COM1 + 3, 0x03);
    outb(COM1 + 2, 0x07);
    outb(COM1 + 4, 0x03);
}

void put_char(char c)
{
    if (c == '\n')
        put_char('\r');
    while (!(inb(COM1 + 5) & LSR_EMPTY))
        ;
    outb(COM1, (uint8_t)c);
}

char get_char(void)
{
    while (!(inb(COM1 + 5) & LSR_DATA))
        ;
    return (char)inb(COM1);
}

static void put_number(uint32_t value, uint32_t base)
{
    char digits[12];
    int count = 0;

    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (count)
        put_char(digits[--count]);
}

static void put_string(const char *s)
{
    while (*s)
        put_char(*s++);
}

static void put_signed(int value)
{
    if (value < 0)
        put_char('-');
    put_number(value < 0 ? 0u - (uint32_t)value : (uint32_t)value, 10);
}

void print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    for (const char *p = format; *p; p++) {
        if (*p != '%') {
            put_char(*p);
            continue;
        }
        switch (*++p) {
        case 's': put_string(va_arg(args, const char *)); break;
        case 'c': put_char((char)va_arg(args, int)); break;
        case 'd': put_signed(va_arg(args, int)); break;
        case 'u': put_number(va_arg(args, uint32_t), 10); break;
        case 'x': put_number(va_arg(args, uint32_t), 16); break;
        default: put_char(*p); break;
        }
    }
    va_end(args);
}
