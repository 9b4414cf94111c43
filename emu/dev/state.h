/* SPDX-License-Identifier: MIT */
#ifndef EMU_DEV_STATE_H
#define EMU_DEV_STATE_H

/*
 * PURPOSE: save what the guest can observe of an object, and give it to another
 * object of the same kind, by a table of its fields.
 *
 * A table accounts for every byte of its struct: a field is state, a timer, an
 * array of structs with a table of their own, or kept (wiring that the object
 * got when it was created, or what is derived from state).
 * state_table_gap() finds a field that the table does not name.
 *
 * No pointers are saved. A timer is saved as armed, deadline and its turn among
 * equal deadlines. Wires are saved as the level that was driven last: loading
 * moves none, since what is at their other end is loaded as well.
 */
#include "emu/dev/clock.h"

enum state_kind { STATE_BYTES, STATE_TIMER, STATE_STRUCTS, STATE_KEPT };

struct state_table;

struct state_field {
    const char *name;
    enum state_kind kind;
    size_t offset;
    size_t len;                      /* bytes, of all elements */
    size_t unit;                     /* bytes of an element */
    size_t align;                    /* what the compiler aligns the field to */
    const struct state_table *table; /* STATE_STRUCTS: of an element */
};

struct state_table {
    const char *name;
    size_t len; /* sizeof the struct */
    size_t align;
    const struct state_field *fields;
    size_t field_count;
};

/* Rows of a table whose struct is named by the macro STATE_OF. */
#define STATE_ROW(field, of_kind, bytes, of_table)                            \
    {                                                                         \
        .name = #field, .kind = of_kind, .offset = offsetof(STATE_OF, field), \
        .len = sizeof(((STATE_OF *)0)->field), .unit = bytes,                 \
        .align = __alignof__(((STATE_OF *)0)->field), .table = of_table       \
    }
#define STATE_FIELD(field) \
    STATE_ROW(field, STATE_BYTES, sizeof(((STATE_OF *)0)->field), NULL)
#define STATE_ARRAY(field) \
    STATE_ROW(field, STATE_BYTES, sizeof(((STATE_OF *)0)->field[0]), NULL)
#define STATE_CLOCK_TIMER(field) \
    STATE_ROW(field, STATE_TIMER, sizeof(((STATE_OF *)0)->field), NULL)
/* field is of a struct type, or an array of it, that rows describes. */
#define STATE_STRUCT(field, type, rows) \
    STATE_ROW(field, STATE_STRUCTS, sizeof(type), &(rows))
#define STATE_SKIP(field) STATE_ROW(field, STATE_KEPT, 1, NULL)

#define STATE_TABLE(title, rows)                                             \
    {                                                                        \
        .name = title, .len = sizeof(STATE_OF), .align = _Alignof(STATE_OF), \
        .fields = rows, .field_count = ARRAY_COUNT(rows)                     \
    }

/* The saved bytes, and from where on they are whose. */
struct state_mark {
    const struct state_table *table;
    const struct state_field *field;
    size_t at;
};

struct state_image {
    uint8_t *data;
    size_t len;
    size_t room;
    struct state_mark *marks;
    size_t mark_count;
    size_t mark_room;
    size_t at;   /* how far it was loaded */
    bool failed; /* out of memory, or not an image of these objects */
};

void state_image_fini(struct state_image *image);

/* Append an object's state, or a value's bytes. */
void state_save(struct state_image *image, const struct state_table *table,
                const void *object);

/* Take the next object's state; timers are armed on clock. */
void state_load(struct state_image *image, const struct state_table *table,
                void *object, struct clock *clock);

/* The first field in which two images differ, as "table.field"; NULL when they
 * are equal. */
const char *state_difference(const struct state_image *a,
                             const struct state_image *b, char *text,
                             size_t len);

/* NULL when the table names every byte of its struct but for padding, else the
 * name of the field in front of the first byte it forgot. */
const char *state_table_gap(const struct state_table *table);

#endif /* EMU_DEV_STATE_H */
