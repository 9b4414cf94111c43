/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_AML_H
#define EMU_DEV_AML_H

/*
 * PURPOSE: write ACPI Machine Language, the byte code of a DSDT. Objects are
 * appended in the order of the calls; what opens a list yields a mark, and
 * aml_close() of that mark ends it. Running out of room sets `full` and keeps
 * the rest from being written.
 */
#include "monitor/base.h"

struct aml {
    uint8_t *data;
    size_t len;
    size_t room; /* bytes at data */
    bool full;
};

/* Scope (path) { ... }, Device (name) { ... }, Package (count) { ... }. A name
 * has four characters, a path may begin with a backslash. */
MUST_CHECK size_t aml_scope(struct aml *aml, const char *path);
MUST_CHECK size_t aml_device(struct aml *aml, const char *name);
MUST_CHECK size_t aml_package(struct aml *aml, unsigned count);
void aml_close(struct aml *aml, size_t mark);

/* Name (path, the object written next) */
void aml_name(struct aml *aml, const char *path);

void aml_integer(struct aml *aml, uint32_t value);
void aml_eisa_id(struct aml *aml, const char *id); /* "PNP0A03" */
void aml_buffer(struct aml *aml, const uint8_t *bytes, size_t len);

#endif /* EMU_DEV_AML_H */
