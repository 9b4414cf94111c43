/* SPDX-License-Identifier: MIT */
#ifndef LIB_LIB_H
#define LIB_LIB_H

/*
 * PURPOSE: what a freestanding program lacks: memory and string functions, and
 * text on the first serial port.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t len);
void *memset(void *to, int value, size_t len);
void *memmove(void *to, const void *from, size_t len);
int memcmp(const void *a, const void *b, size_t len);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
/* Whether the space-separated list holds the word. */
bool has_word(const char *list, const char *word);
/* The decimal number N of a word NAME=N in the list; false when there is none. */
bool word_value(const char *list, const char *name, uint32_t *value);

void serial_init(void);
void put_char(char c);
/* Waits with HLT-free polling: the prompt has nothing else to do. */
char get_char(void);

/* %s %c %d %u %x only. */
__attribute__((format(printf, 1, 2))) void print(const char *format, ...);

#endif /* LIB_LIB_H */
