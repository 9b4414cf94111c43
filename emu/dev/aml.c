/* SPDX-License-Identifier: MIT */
#include "emu/dev/aml.h"

#include <string.h>

/*
 * ACPI 6.4, chapter 20 "ACPI Machine Language (AML) Specification". The length
 * of a list stands before it, in one to four bytes that count themselves; it is
 * inserted when the list is closed.
 */

#define OP_NAME    0x08u
#define OP_BYTE    0x0au
#define OP_WORD    0x0bu
#define OP_DWORD   0x0cu
#define OP_SCOPE   0x10u
#define OP_BUFFER  0x11u
#define OP_PACKAGE 0x12u
#define OP_EXT     0x5bu
#define EXT_DEVICE 0x82u

static void put(struct aml *aml, const void *bytes, size_t len)
{
    if (len > aml->room - aml->len) {
        aml->full = true;
        return;
    }
    memcpy(aml->data + aml->len, bytes, len);
    aml->len += len;
}

static void put_byte(struct aml *aml, unsigned value)
{
    uint8_t byte = (uint8_t)value;
    put(aml, &byte, 1);
}

static void put_little(struct aml *aml, unsigned size, uint32_t value)
{
    for (unsigned i = 0; i < size; i++)
        put_byte(aml, value >> (8 * i) & 0xff);
}

/* 20.2.4 "Package Length Encoding": one byte up to 3Fh, else the low nibble and
 * the number of bytes that follow with the higher bits. */
static size_t encode_length(size_t len, uint8_t out[3])
{
    if (len + 1 <= 0x3f) {
        out[0] = (uint8_t)(len + 1);
        return 1;
    }
    size_t count = len + 2 <= 0xfff ? 2 : 3;
    len += count;
    out[0] = (uint8_t)((count - 1) << 6 | (len & 15));
    out[1] = (uint8_t)(len >> 4);
    out[2] = (uint8_t)(len >> 12);
    return count;
}

void aml_close(struct aml *aml, size_t mark)
{
    uint8_t length[3];
    size_t body = aml->len - mark, count = encode_length(body, length);
    put(aml, length, count); /* makes room */
    if (aml->full)
        return;
    memmove(aml->data + mark + count, aml->data + mark, body);
    memcpy(aml->data + mark, length, count);
}

size_t aml_scope(struct aml *aml, const char *path)
{
    put_byte(aml, OP_SCOPE);
    size_t mark = aml->len;
    put(aml, path, strlen(path));
    return mark;
}

size_t aml_device(struct aml *aml, const char *name)
{
    put_byte(aml, OP_EXT);
    put_byte(aml, EXT_DEVICE);
    size_t mark = aml->len;
    put(aml, name, strlen(name));
    return mark;
}

size_t aml_package(struct aml *aml, unsigned count)
{
    put_byte(aml, OP_PACKAGE);
    size_t mark = aml->len;
    put_byte(aml, count);
    return mark;
}

void aml_name(struct aml *aml, const char *path)
{
    put_byte(aml, OP_NAME);
    put(aml, path, strlen(path));
}

void aml_integer(struct aml *aml, uint32_t value)
{
    if (value <= 1) {
        put_byte(aml, value); /* ZeroOp, OneOp */
    } else if (value <= 0xff) {
        put_byte(aml, OP_BYTE);
        put_byte(aml, value);
    } else if (value <= 0xffff) {
        put_byte(aml, OP_WORD);
        put_little(aml, 2, value);
    } else {
        put_byte(aml, OP_DWORD);
        put_little(aml, 4, value);
    }
}

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A' + 10);
}

/* 19.3.4 "ASL Macros", EISAID: three letters of five bits and four digits, the
 * highest byte first. */
void aml_eisa_id(struct aml *aml, const char *id)
{
    unsigned vendor = 0, product = 0;
    for (unsigned i = 0; i < 3; i++)
        vendor = vendor << 5 | ((unsigned)(id[i] - 'A' + 1) & 31);
    for (unsigned i = 3; i < 7; i++)
        product = product << 4 | hex_digit(id[i]);
    put_byte(aml, OP_DWORD);
    put_byte(aml, vendor >> 8);
    put_byte(aml, vendor & 0xff);
    put_byte(aml, product >> 8);
    put_byte(aml, product & 0xff);
}

void aml_buffer(struct aml *aml, const uint8_t *bytes, size_t len)
{
    put_byte(aml, OP_BUFFER);
    size_t mark = aml->len;
    aml_integer(aml, (uint32_t)len);
    put(aml, bytes, len);
    aml_close(aml, mark);
}
