/* SPDX-License-Identifier: MIT */
#include "emu/dev/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * An image is the fields' bytes one after the other, in the order of the
 * tables. It is read by the same tables, so that nothing but the marks, which
 * are for messages, says what is where.
 */

void state_image_fini(struct state_image *image)
{
    free(image->data);
    free(image->marks);
    *image = (struct state_image){0};
}

/* Make room for one more of size bytes each; false: out of memory. */
static bool grow(void **items, size_t *room, size_t needed, size_t size)
{
    size_t want = needed < 256 ? 256 : needed * 2;
    void *more;

    if (needed <= *room)
        return true;
    more = realloc(*items, want * size);
    if (more == NULL)
        return false;
    *items = more;
    *room = want;
    return true;
}

static void append(struct state_image *image, const void *data, size_t len)
{
    void *bytes = image->data;

    if (!grow(&bytes, &image->room, image->len + len, 1)) {
        image->failed = true;
        return;
    }
    image->data = bytes;
    memcpy(image->data + image->len, data, len);
    image->len += len;
}

static void mark(struct state_image *image, const struct state_table *table,
                 const struct state_field *field)
{
    void *marks = image->marks;

    if (!grow(&marks, &image->mark_room, image->mark_count + 1,
              sizeof(*image->marks))) {
        image->failed = true;
        return;
    }
    image->marks = marks;
    image->marks[image->mark_count++] =
        (struct state_mark){.table = table, .field = field, .at = image->len};
}

static void take(struct state_image *image, void *data, size_t len)
{
    if (image->len - image->at < len) {
        image->failed = true;
        memset(data, 0, len);
        return;
    }
    memcpy(data, image->data + image->at, len);
    image->at += len;
}

/* ---- Timers ---- */

struct saved_timer {
    uint64_t armed;
    uint64_t deadline;
    uint64_t turn;
};

static void save_timer(struct state_image *image,
                       const struct clock_timer *timer)
{
    struct saved_timer saved = {0};

    if (timer->armed)
        saved = (struct saved_timer){
            .armed = 1, .deadline = timer->deadline, .turn = timer->turn};
    append(image, &saved, sizeof(saved));
}

static void load_timer(struct state_image *image, struct clock_timer *timer,
                       struct clock *clock)
{
    struct saved_timer saved;

    take(image, &saved, sizeof(saved));
    clock_disarm(clock, timer);
    if (saved.armed)
        clock_restore_timer(clock, timer, saved.deadline, saved.turn);
}

/* ---- Objects ---- */

static void save_field(struct state_image *image,
                       const struct state_table *table,
                       const struct state_field *field, const char *at)
{
    switch (field->kind) {
    case STATE_BYTES:
        mark(image, table, field);
        append(image, at, field->len);
        break;
    case STATE_TIMER:
        mark(image, table, field);
        save_timer(image, (const void *)at);
        break;
    case STATE_STRUCTS:
        for (size_t i = 0; i < field->len; i += field->unit)
            state_save(image, field->table, at + i);
        break;
    case STATE_KEPT: break;
    }
}

void state_save(struct state_image *image, const struct state_table *table,
                const void *object)
{
    for (size_t i = 0; i < table->field_count; i++)
        save_field(image, table, &table->fields[i],
                   (const char *)object + table->fields[i].offset);
}

static void load_field(struct state_image *image,
                       const struct state_field *field, char *at,
                       struct clock *clock)
{
    switch (field->kind) {
    case STATE_BYTES: take(image, at, field->len); break;
    case STATE_TIMER: load_timer(image, (void *)at, clock); break;
    case STATE_STRUCTS:
        for (size_t i = 0; i < field->len; i += field->unit)
            state_load(image, field->table, at + i, clock);
        break;
    case STATE_KEPT: break;
    }
}

void state_load(struct state_image *image, const struct state_table *table,
                void *object, struct clock *clock)
{
    for (size_t i = 0; i < table->field_count; i++)
        load_field(image, &table->fields[i],
                   (char *)object + table->fields[i].offset, clock);
}

/* ---- Checks ---- */

const char *state_difference(const struct state_image *a,
                             const struct state_image *b, char *text,
                             size_t len)
{
    const struct state_mark *last = NULL;
    size_t at = 0;

    while (at < a->len && at < b->len && a->data[at] == b->data[at])
        at++;
    if (at == a->len && at == b->len)
        return NULL;
    for (size_t i = 0; i < a->mark_count && a->marks[i].at <= at; i++)
        last = &a->marks[i];
    if (last == NULL)
        snprintf(text, len, "length");
    else
        snprintf(text, len, "%s.%s+%zu", last->table->name, last->field->name,
                 at - last->at);
    return text;
}

static const struct state_field *field_from(const struct state_table *table,
                                            size_t offset)
{
    const struct state_field *first = NULL;

    for (size_t i = 0; i < table->field_count; i++) {
        const struct state_field *field = &table->fields[i];

        if (field->offset + field->len > offset &&
            (first == NULL || field->offset < first->offset))
            first = field;
    }
    return first;
}

static size_t aligned(size_t offset, size_t align)
{
    return (offset + align - 1) / align * align;
}

const char *state_table_gap(const struct state_table *table)
{
    const char *before = "the first";
    size_t end = 0;

    while (end < table->len) {
        const struct state_field *next = field_from(table, end);

        if (next == NULL)
            return aligned(end, table->align) == table->len ? NULL : before;
        if (next->offset > end && aligned(end, next->align) != next->offset)
            return before;
        before = next->name;
        end = next->offset + next->len;
    }
    return NULL;
}
