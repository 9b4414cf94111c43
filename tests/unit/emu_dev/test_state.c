/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "emu/dev/acpi_pm.h"
#include "emu/dev/fpu_error.h"
#include "emu/dev/i8042.h"
#include "emu/dev/i8237.h"
#include "emu/dev/i8254.h"
#include "emu/dev/i8259.h"
#include "emu/dev/machine_pc.h"
#include "emu/dev/mc146818.h"
#include "emu/dev/ns16550.h"
#include "emu/dev/pc_ports.h"
#include "emu/dev/pci.h"
#include "emu/dev/ps2.h"
#include "emu/dev/state.h"
#include "fixture.h"
#include "tests/suite/suite.h"

/*
 * Random accesses to every port of a board bring its chips into the middle of
 * whatever they do; the state is given to a fresh board; from then on both get
 * the same accesses and have to answer alike. Two more checks keep that honest:
 * no table may forget a field, and every field has to have been saved with
 * another value than a fresh board's.
 */

#define ROUNDS 400u
#define BEFORE 400u /* accesses up to the save */
#define AFTER  300u

static const struct state_table *const tables[] = {
    &clock_state,     &machine_pc_state, &i8259_state,    &i8254_state,
    &mc146818_state,  &acpi_pm_state,    &pc_ports_state, &i8042_state,
    &ps2_state,       &i8237_state,      &pci_state,      &ns16550_state,
    &fpu_error_state,
};

struct board {
    struct stats stats;
    struct bus *bus;
    struct clock *clock;
    struct machine_pc *pc;
    uint64_t now;
    bool intr;
};

static uint64_t seed;

static uint32_t random_below(uint32_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16) % limit;
}

static uint64_t board_now(void *opaque)
{
    return ((struct board *)opaque)->now;
}

static void set_intr(void *opaque, bool level)
{
    ((struct board *)opaque)->intr = level;
}

static void set_ignne(void *opaque, bool level)
{
    (void)opaque;
    (void)level;
}

static void set_a20(void *opaque, bool open)
{
    (void)opaque;
    (void)open;
}

static void ignore(void *opaque)
{
    (void)opaque;
}

static void write_nowhere(void *opaque, const uint8_t *data, size_t len)
{
    (void)opaque;
    (void)data;
    (void)len;
}

static void create(struct board *board)
{
    struct machine_host host = {.opaque = board,
                                .set_intr = set_intr,
                                .set_ignne = set_ignne,
                                .set_a20 = set_a20,
                                .power_off = ignore,
                                .reset = ignore,
                                .debug_exit_port = -1,
                                .ram_len = 64 * MIB};

    memset(board, 0, sizeof(*board));
    for (unsigned i = 0; i < 4; i++)
        host.serial[i].write = write_nowhere;
    ck_assert_int_eq(clock_create(&board->clock, board_now, board), 0);
    ck_assert_int_eq(bus_create(&board->bus, &board->stats, board->clock), 0);
    ck_assert_int_eq(
        machine_pc_create(&board->pc, board->bus, board->clock, &host), 0);
    machine_pc_reset(board->pc);
}

static void destroy(struct board *board)
{
    machine_pc_destroy(board->pc);
    bus_destroy(board->bus);
    clock_destroy(board->clock);
}

static struct state_image save(const struct board *board)
{
    struct state_image image = {0};

    machine_pc_save(board->pc, &image);
    ck_assert(!image.failed);
    return image;
}

static void load(struct board *board, struct state_image *image)
{
    image->at = 0;
    machine_pc_load(board->pc, image);
    ck_assert(!image->failed);
    ck_assert_uint_eq(image->at, image->len);
}

/* Ports with something behind them, so often as they are worth. */
static const struct {
    uint16_t first, count;
} ports[] = {
    {0x20,   2 },
    {0xa0,   2 },
    {0x4d0,  2 },
    {0x20,   2 },
    {0xa0,   2 },
    {0x40,   4 },
    {0x40,   4 },
    {0x60,   1 },
    {0x64,   1 },
    {0x60,   5 },
    {0x61,   1 },
    {0x70,   2 },
    {0x70,   2 },
    {0x80,   1 },
    {0x92,   1 },
    {0x00,   16},
    {0xc0,   32},
    {0x81,   15},
    {0xcf8,  8 },
    {0x600,  12},
    {0xafe0, 4 },
    {0xb2,   2 },
    {0x3f8,  8 },
    {0x2f8,  8 },
    {0x3e8,  8 },
    {0x2e8,  8 },
};

/* What the guest, time and the other end of the line do; one of them. */
struct action {
    uint32_t kind;
    uint16_t port;
    unsigned size;
    uint32_t value;
};

static struct action random_action(void)
{
    uint32_t place = random_below(ARRAY_COUNT(ports));
    struct action action = {
        .kind = random_below(16),
        .port =
            (uint16_t)(ports[place].first + random_below(ports[place].count)),
        .size = 1,
        .value = random_below(4) ? random_below(256) : random_below(16)};

    if (ports[place].first == 0xcf8 && random_below(2)) {
        action.size = 4;
        action.port &= 0xffc;
        action.value = action.port == 0xcf8
                           ? BIT(31) | random_below(3) << 11 |
                                 random_below(4) << 8 | random_below(256)
                           : (uint32_t)seed;
    }
    if (ports[place].first == 0x60 && random_below(2)) /* commands */
        action.value = 0xd1 + random_below(0x2f);
    return action;
}

/* A command with its argument to the keyboard or the mouse; mostly to set the
 * rate, three of which switch the mouse's wheel on. */
static void tell_ps2(struct board *board, uint32_t value)
{
    static const uint8_t args[] = {200, 100, 80, 1, 3, 200};
    bool mouse = value & 1;
    uint8_t bytes[] = {(uint8_t)(value & 2 ? 0xf3 : 0xe6 + value / 4 % 26),
                       args[value / 4 % ARRAY_COUNT(args)]};

    for (unsigned i = 0; i < 2; i++) {
        if (mouse)
            bus_port_out(board->bus, 0x64, 1, 0xd4);
        bus_port_out(board->bus, 0x60, 1, bytes[i]);
    }
}

/* What could be observed of it. */
static uint32_t act(struct board *board, const struct action *action)
{
    uint8_t byte = (uint8_t)action->value;

    switch (action->kind) {
    case 0:
        board->now += (uint64_t)action->value * action->value * 40000u;
        return 0;
    case 1:
        board->now += action->value * 700u;
        machine_pc_set_ferr(board->pc, action->value & 1);
        if (action->value & 2)
            bus_port_out(board->bus, 0xf0, 1, 0);
        return 0;
    case 2:
    case 3: clock_run(board->clock); return (uint32_t)clock_next(board->clock);
    case 4: return board->intr ? machine_pc_ack(board->pc) : 0;
    case 5:
        if (machine_pc_serial_room(board->pc, byte & 3) > 0)
            machine_pc_serial_receive(board->pc, byte & 3, &byte, 1);
        return 0;
    case 6:
    case 7:
    case 8:
    case 9: return bus_port_in(board->bus, action->port, action->size);
    case 10: /* a register of the real-time clock */
        bus_port_out(board->bus, 0x70, 1, action->value >> 4);
        bus_port_out(board->bus, 0x71, 1, action->value * 16807u >> 4 & 0xff);
        return 0;
    case 11: tell_ps2(board, action->value); return 0;
    default:
        bus_port_out(board->bus, action->port, action->size, action->value);
        return 0;
    }
}

static void check_equal(const struct board *a, const struct board *b,
                        unsigned round)
{
    struct state_image x = save(a), y = save(b);
    char text[80];
    const char *field = state_difference(&x, &y, text, sizeof(text));

    ck_assert_msg(field == NULL, "round %u: %s differs", round, field);
    state_image_fini(&x);
    state_image_fini(&y);
}

/* Note the fields that are not as in a fresh board. */
static void note_changes(const struct state_image *fresh,
                         const struct state_image *now, bool *changed)
{
    ck_assert_uint_eq(fresh->len, now->len);
    for (size_t i = 0; i < now->mark_count; i++) {
        size_t at = now->marks[i].at;
        size_t end = i + 1 < now->mark_count ? now->marks[i + 1].at : now->len;

        if (memcmp(fresh->data + at, now->data + at, end - at) != 0)
            changed[i] = true;
    }
}

static void run_round(unsigned round, const struct state_image *fresh,
                      bool *changed)
{
    struct board a, b;

    seed = 0x9e3779b97f4a7c15ull * (round + 1);
    create(&a);
    for (unsigned i = 0; i < BEFORE; i++) {
        struct action action = random_action();

        act(&a, &action);
    }
    struct state_image image = save(&a);
    note_changes(fresh, &image, changed);
    create(&b);
    b.now = a.now;
    load(&b, &image);
    b.intr = a.intr;
    state_image_fini(&image);
    check_equal(&a, &b, round);
    for (unsigned i = 0; i < AFTER; i++) {
        struct action action = random_action();

        ck_assert_uint_eq(act(&a, &action), act(&b, &action));
        ck_assert_int_eq(a.intr, b.intr);
    }
    check_equal(&a, &b, round);
    destroy(&a);
    destroy(&b);
}

/* In any of the structs that the table serves. The base is the user's, nothing
 * changes it; an answer of the 8042 never waits from one access to the next. */
static bool has_changed(const struct state_image *image, const bool *changed,
                        const struct state_field *field)
{
    for (size_t i = 0; i < image->mark_count; i++)
        if (image->marks[i].field == field && changed[i])
            return true;
    return !strcmp(field->name, "base") || !strcmp(field->name, "has_answer");
}

START_TEST(a_board_goes_on_where_its_state_was_saved)
{
    struct board board;
    bool changed[512] = {false};

    create(&board);
    struct state_image fresh = save(&board);
    ck_assert_uint_lt(fresh.mark_count, ARRAY_COUNT(changed));
    for (unsigned round = 0; round < ROUNDS; round++)
        run_round(round, &fresh, changed);
    for (size_t i = 0; i < fresh.mark_count; i++)
        ck_assert_msg(has_changed(&fresh, changed, fresh.marks[i].field),
                      "%s.%s was never seen to change",
                      fresh.marks[i].table->name, fresh.marks[i].field->name);
    state_image_fini(&fresh);
    destroy(&board);
}
END_TEST

static void check_gaps(const struct state_table *table)
{
    ck_assert_msg(state_table_gap(table) == NULL,
                  "%s forgets what is behind %s", table->name,
                  state_table_gap(table));
    for (size_t i = 0; i < table->field_count; i++)
        if (table->fields[i].kind == STATE_STRUCTS)
            check_gaps(table->fields[i].table);
}

START_TEST(no_table_forgets_a_field)
{
    for (size_t i = 0; i < ARRAY_COUNT(tables); i++)
        check_gaps(tables[i]);
}
END_TEST

struct sample {
    uint8_t a;
    uint32_t b;
    uint8_t c;
};

#define STATE_OF struct sample
START_TEST(a_gap_is_found)
{
    static const struct state_field rows[] = {STATE_FIELD(a), STATE_FIELD(c)};
    const struct state_table table = STATE_TABLE("sample", rows);

    ck_assert_str_eq(state_table_gap(&table), "a");
}
END_TEST

START_TEST(a_short_image_is_refused)
{
    static const struct state_field rows[] = {STATE_FIELD(a), STATE_FIELD(b),
                                              STATE_FIELD(c)};
    const struct state_table table = STATE_TABLE("sample", rows);
    struct sample sample = {1, 2, 3};
    struct state_image image = {0};

    state_save(&image, &table, &sample);
    ck_assert_uint_eq(image.len, 6);
    image.len--;
    state_load(&image, &table, &sample, NULL);
    ck_assert(image.failed);
    state_image_fini(&image);
}
END_TEST
#undef STATE_OF

int main(void)
{
    TCase *tcase = tcase_create("state");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, no_table_forgets_a_field);
    tcase_add_test(tcase, a_gap_is_found);
    tcase_add_test(tcase, a_short_image_is_refused);
    tcase_add_test(tcase, a_board_goes_on_where_its_state_was_saved);
    return run_case(tcase, "state");
}
