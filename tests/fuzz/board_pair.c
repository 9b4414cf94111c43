/* SPDX-License-Identifier: MIT */
#include "board_pair.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "board_pic.h"
#include "board_pit.h"
#include "board_rtc.h"
#include "board_subject.h"
#include "board_uart.h"

#define NS        1000000000u
#define PIT_HZ    1193182u
#define PM_HZ     3579545u
#define PM_TIMER  0x608u
#define RTC_HZ    8192u
#define SAVES_MAX 2u

/* With the models of the first board beside it. */
static struct subject first, second;
static struct pic_model pic;
static struct pit_model pit;
static struct uart_model uarts[4];
static struct rtc_model rtc;
static struct {
    unsigned saves;
    uint8_t port61, pages[16];
    uint32_t pci_address; /* CF8h */
    uint8_t dma_mask[2];
    bool ferr, irq13, ignne;
    uint64_t pm_halves; /* of the PM timer, when TMR_STS was cleared */
    bool pm_enabled;    /* TMR_EN */
    bool sci_enabled;   /* SCI_EN */
    uint8_t date[7];    /* read last, century first */
    bool is_date_old;   /* there is one, and no write to the RTC since */
    bool verbose;
} now;

static void NORETURN PRINTF_LIKE(1, 2) fail(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fprintf(stderr, "board: ");
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, " at %" PRIu64 " ns\n", first.now);
    va_end(ap);
    abort();
}

static void PRINTF_LIKE(1, 2) show(const char *fmt, ...)
{
    va_list ap;

    if (!now.verbose)
        return;
    va_start(ap, fmt);
    fprintf(stderr, "%14" PRIu64 " ", first.now);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

static void hear_input(unsigned pin, bool level)
{
    show("    IRQ %u %s", pin, level ? "rises" : "falls");
    pic_model_input(&pic, pin, level);
}

static void hear_reset(void)
{
    pic_model_reset(&pic);
}

/* ---- Judging ---- */

/* The wire of IRQ 0 made as many edges as the timer's model says. */
static void check_edges(unsigned expected)
{
    if (first.rises[0] != expected)
        fail("IRQ 0 rose %u times, not %u", first.rises[0], expected);
}

/* Two serial ports share a wire. */
static void check_serial(void)
{
    for (unsigned i = 0; i < 2; i++)
        if (first.level[4 - i] !=
            (uart_model_irq(&uarts[i]) || uart_model_irq(&uarts[i + 2])))
            fail("IRQ %u is %d", 4 - i, first.level[4 - i]);
}

static void check_same(void)
{
    check_serial();
    if (first.level[13] != now.irq13 || first.ignne != now.ignne)
        fail("IRQ 13 is %d, IGNNE# %d", first.level[13], first.ignne);
    if (first.intr != pic_model_intr(&pic))
        fail("INTR is %d", first.intr);
    if (second.pc == NULL)
        return;
    if (first.seen != second.seen || first.intr != second.intr)
        fail("the loaded board differs");
    if (first.now != second.now)
        fail("the loaded board has another time");
    if (clock_next(first.clock) != clock_next(second.clock))
        fail("the loaded board has another deadline");
}

/* Behind everything a script does. */
static void judge(void)
{
    check_same();
    memset(first.rises, 0, sizeof(first.rises));
    if (first.wants_reset) {
        first.wants_reset = second.wants_reset = false;
        pair_reset();
    }
}

static void check_value(const char *what, unsigned port, uint32_t value,
                        uint32_t expected, uint32_t mask)
{
    if ((value ^ expected) & mask)
        fail("%s, port %x: %x, not %x in %x", what, port, value, expected,
             mask);
}

/* ---- Ports ---- */

/* Which serial port that is; NULL: none. */
static struct uart_model *uart_at(uint16_t port)
{
    static const uint16_t ports[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};

    for (unsigned i = 0; i < ARRAY_COUNT(ports); i++)
        if ((port & ~7u) == ports[i])
            return &uarts[i];
    return NULL;
}

static uint64_t pm_count(void)
{
    return (uint64_t)((unsigned __int128)first.now * PM_HZ / NS);
}

/* Each half of its 24 bits sets TMR_STS. */
static uint64_t pm_halves(void)
{
    return pm_count() >> 23;
}

/* The mask of an 8237A, its registers a port or two apart. */
static void model_dma(uint16_t port, uint8_t value)
{
    uint8_t *mask = &now.dma_mask[port >= 0xc0];
    uint8_t bit = (uint8_t)(1u << (value & 3));

    if (port >= 0xe0 || (port >= 0x10 && port < 0xc0))
        return;
    switch (port < 0x10 ? port : (port - 0xc0) / 2) {
    case 0xa: *mask = value & 4 ? *mask | bit : *mask & (uint8_t)~bit; break;
    case 0xd: *mask = 15; break; /* master clear */
    case 0xe: *mask = 0; break;
    case 0xf: *mask = value & 15; break;
    default: break;
    }
}

/* Its two flip-flops (SDM 1 D.2.1.2). */
static void model_fpu_port(void)
{
    now.irq13 = false;
    now.ignne = now.ignne || now.ferr;
}

/* How often it makes IRQ 0 rise. */
static unsigned model_write(uint16_t port, uint8_t value)
{
    struct uart_model *uart = uart_at(port);
    unsigned edges = 0;
    bool gate = port == 0x61 && (value & 1) != pit.channel[2].gate;

    if (pic_model_owns(port))
        pic_model_write(&pic, port, value);
    if (uart != NULL)
        uart_model_write(uart, port & 7, value, first.now);
    if (port == 0x61)
        now.port61 = value & 15;
    if ((port & ~1u) == 0x70)
        rtc_model_write(&rtc, port & 1, value);
    if (port == 0x71)
        now.is_date_old = false;
    if (port > 0x80 && port < 0x90)
        now.pages[port & 15] = value;
    if (port == 0x600 && value & 1)
        now.pm_halves = pm_halves();
    model_dma(port, value);
    if (port == 0xf0)
        model_fpu_port();
    if (port == 0x602)
        now.pm_enabled = value & 1;
    if (port == 0x604 || (port == 0xb2 && (value & 0xfe) == 0xf0))
        now.sci_enabled = value & 1;
    if (!gate && (port & ~3u) != 0x40)
        return 0;
    pit_model_advance(&pit, first.now);
    edges = pit_model_edges(&pit); /* an edge that is due comes first */
    if (gate)
        pit_model_gate(&pit, 2, value & 1);
    else
        pit_model_write(&pit, port & 3, value);
    return edges + pit_model_edges(&pit);
}

void pair_out(uint16_t port, unsigned size, uint32_t value)
{
    unsigned edges = 0;

    show("out %04x %u %x", port, size, value);
    subject_enter(&first);
    bus_port_out(first.bus, port, size, value);
    subject_leave(&first);
    if (port == 0xcf8 && size == 4)
        now.pci_address = value & 0x80fffffc;
    for (unsigned i = 0; i < size; i++)
        edges += model_write((uint16_t)(port + i), (uint8_t)(value >> 8 * i));
    check_edges(edges);
    if (second.pc != NULL) {
        subject_enter(&second);
        bus_port_out(second.bus, port, size, value);
        subject_leave(&second);
    }
    judge();
}

/* How often it makes IRQ 0 rise. */
static unsigned check_byte(uint16_t port, uint8_t value)
{
    unsigned edges = 0;
    struct uart_model *uart = uart_at(port);
    uint8_t expected, mask;
    int out2;

    if (uart != NULL) {
        expected = uart_model_read(uart, port & 7, first.now, &mask);
        check_value("16550A", port, value, expected, mask);
    }
    if (pic_model_owns(port))
        check_value("8259A", port, value, pic_model_read(&pic, port), 0xff);
    pit_model_advance(&pit, first.now);
    if ((port & ~3u) == 0x40) {
        edges = pit_model_edges(&pit);
        expected = pit_model_read(&pit, port & 3, &mask);
        check_value("8254", port, value, expected, mask);
    }
    if (port == 0x61) {
        out2 = pit_model_out2(&pit);
        check_value("control", port, value,
                    now.port61 | (unsigned)(first.now / 15085 & 1) << 4 |
                        (unsigned)(out2 > 0) << 5,
                    out2 < 0 ? 0xdf : 0xff);
    }
    if ((port & ~1u) == 0x70) {
        expected = rtc_model_read(&rtc, port & 1, first.now, &mask);
        check_value("MC146818", port, value, expected, mask);
    }
    if (port > 0x80 && port < 0x90)
        check_value("DMA page", port, value, now.pages[port & 15], 0xff);
    if (port == 0x600)
        check_value("PM1", port, value, pm_halves() > now.pm_halves, 1);
    if (port == 0x0f || (port & ~1) == 0xde)
        check_value("8237A", port, value, now.dma_mask[port > 0x0f], 0xff);
    for (unsigned pin = 1; port == 0x60 && pin <= 12; pin += 11)
        if (first.level[pin] && first.rises[pin] == 0)
            fail("IRQ %u has no new edge for the next byte", pin);
    if (port == 0x64 && !(value & 1) && (first.level[1] || first.level[12]))
        fail("the 8042 interrupts with nothing to read");
    if (port == 0x92)
        check_value("A20", port, value, first.a20 ? 2 : 0, 2);
    return edges;
}

/* The functions of the board stay where and what they are. */
static uint32_t pci_identity(void)
{
    switch (now.pci_address) {
    case 0x80000000: return 0x12378086;
    case 0x80000800: return 0x70008086;
    case 0x80000b00: return 0x71138086;
    default: return UINT32_MAX;
    }
}

static void check_pci(uint16_t port, uint32_t value)
{
    if (port == 0xcf8)
        check_value("PCI", port, value, now.pci_address, UINT32_MAX);
    if (port == 0xcfc && (now.pci_address & 0xfc) == 0)
        check_value("PCI", port, value, pci_identity(), UINT32_MAX);
}

static void check_in(uint16_t port, unsigned size, uint32_t value)
{
    unsigned edges = 0;

    if (port == PM_TIMER)
        check_value("PM timer", port, value, (uint32_t)pm_count() & 0xffffff,
                    size == 4 ? UINT32_MAX : (uint32_t)(BIT64(8 * size) - 1));
    if (size == 4)
        check_pci(port, value);
    for (unsigned i = 0; i < size; i++)
        edges += check_byte((uint16_t)(port + i), (uint8_t)(value >> 8 * i));
    check_edges(edges);
}

uint32_t pair_in(uint16_t port, unsigned size)
{
    subject_enter(&first);
    uint32_t value = bus_port_in(first.bus, port, size);
    subject_leave(&first);

    show("in  %04x %u %x", port, size, value);
    check_in(port, size, value);
    subject_note(&first, value);
    if (second.pc != NULL) {
        subject_enter(&second);
        subject_note(&second, bus_port_in(second.bus, port, size));
        subject_leave(&second);
    }
    judge();
    return value;
}

/* ---- Memory ---- */

void pair_mmio_write(uint64_t gpa, unsigned size, uint64_t value)
{
    uint8_t expected[SUBJECT_MMIO_LEN];

    memcpy(expected, first.mmio, sizeof(expected));
    for (unsigned i = 0; i < size; i++)
        if (gpa + i - SUBJECT_MMIO < SUBJECT_MMIO_LEN)
            expected[gpa + i - SUBJECT_MMIO] = (uint8_t)(value >> 8 * i);
    bus_mmio_write(first.bus, gpa, size, value);
    if (memcmp(first.mmio, expected, sizeof(expected)) != 0)
        fail("write of %u bytes to %" PRIx64, size, gpa);
}

void pair_mmio_read(uint64_t gpa, unsigned size)
{
    uint64_t value = bus_mmio_read(first.bus, gpa, size);

    for (unsigned i = 0; i < size; i++) {
        uint64_t offset = gpa + i - SUBJECT_MMIO;
        uint8_t byte = (uint8_t)(value >> 8 * i);

        if (byte != (offset < SUBJECT_MMIO_LEN ? first.mmio[offset] : 0xff))
            fail("read of %u bytes from %" PRIx64, size, gpa);
    }
}

/* ---- Time ---- */

void pair_wait(uint64_t ns)
{
    show("wait %" PRIu64, ns);
    first.now += ns;
    second.now += ns;
}

void pair_set_look(uint64_t ns)
{
    show("look %" PRIu64, ns);
    first.look = second.look = ns;
}

void pair_run(void)
{
    show("run");
    subject_enter(&first);
    clock_run(first.clock);
    subject_leave(&first);
    pit_model_advance(&pit, first.now);
    check_edges(pit_model_edges(&pit));
    for (unsigned i = 0; i < ARRAY_COUNT(uarts); i++)
        uart_model_run(&uarts[i], first.now);
    /* However late the host: one edge, and no deadline in the past. */
    for (unsigned i = 0; i < ARRAY_COUNT(first.rises); i++)
        if (first.rises[i] > 1)
            fail("IRQ %u rose %u times", i, first.rises[i]);
    if (clock_next(first.clock) <= first.now)
        fail("a timer is due again");
    if (first.level[9] !=
        (now.pm_enabled && now.sci_enabled && pm_halves() > now.pm_halves))
        fail("IRQ 9 is %d", first.level[9]);
    int irq8 = rtc_model_irq(&rtc, first.now);
    if (irq8 >= 0 && first.level[8] != irq8)
        fail("IRQ 8 is %d", first.level[8]);
    if (second.pc != NULL) {
        subject_enter(&second);
        clock_run(second.clock);
        subject_leave(&second);
    }
    judge();
}

/* The timers fire no more often than the fastest rates of 8254 and RTC, and
 * once more for each of the others. */
void pair_step(unsigned count)
{
    uint64_t start = first.now, steps = 0;

    for (; steps < count; steps++) {
        uint64_t next = clock_next(first.clock);

        if (next == UINT64_MAX)
            break;
        if (next > first.now)
            pair_wait(next - first.now);
        pair_run();
    }
    unsigned __int128 rate = PIT_HZ + RTC_HZ + 2;
    if (steps > (first.now - start) * rate / NS + 8)
        fail("%" PRIu64 " timers in %" PRIu64 " ns", steps, first.now - start);
}

/* ---- Interrupts, and what else goes in ---- */

void pair_ack(void)
{
    uint8_t vector, expected;
    struct pic_model before = pic;

    subject_enter(&first);
    vector = machine_pc_ack(first.pc);
    subject_leave(&first);
    show("ack %02x", vector);
    expected = pic_model_ack(&pic);
    if (!pic_model_may_answer(&before, vector))
        fail("vector %x of nobody", vector);
    if (vector != expected)
        fail("vector %x, not %x", vector, expected);
    subject_note(&first, vector);
    if (second.pc != NULL) {
        subject_enter(&second);
        subject_note(&second, machine_pc_ack(second.pc));
        subject_leave(&second);
    }
    judge();
}

/* As many as there is room for. */
static size_t receive(struct subject *s, unsigned port, const uint8_t *data,
                      size_t len)
{
    size_t room;

    subject_enter(s);
    clock_hold(s->clock);
    room = machine_pc_serial_room(s->pc, port);
    if (len > room)
        len = room;
    machine_pc_serial_receive(s->pc, port, data, len);
    clock_release(s->clock);
    subject_leave(s);
    return room;
}

void pair_receive(unsigned port, const uint8_t *data, size_t len)
{
    show("serial %u: %zu bytes", port, len);
    size_t room = receive(&first, port, data, len);

    if (room != uart_model_room(&uarts[port]))
        fail("room for %zu bytes", room);
    for (size_t i = 0; i < len && i < room; i++)
        uart_model_receive(&uarts[port], data[i], first.now);
    if (second.pc != NULL)
        (void)receive(&second, port, data, len);
    judge();
}

void pair_drive(unsigned n, bool level)
{
    static const uint8_t pins[] = {5, 6, 7, 10, 11, 14, 15};
    unsigned pin = pins[n % ARRAY_COUNT(pins)];

    show("drive IRQ %u %d", pin, level);
    subject_drive(&first, pin, level);
    if (second.pc != NULL)
        subject_drive(&second, pin, level);
    judge();
}

void pair_check_a20(bool open)
{
    if (first.a20 != open)
        fail("A20 is %d", first.a20);
}

void pair_check_answer(bool mouse, uint8_t value)
{
    check_value("8042", 0x64, pair_in(0x64, 1), mouse ? 0x21 : 1, 0x21);
    check_value("8042", 0x60, pair_in(0x60, 1), value, 0xff);
}

static void set_ferr(struct subject *s, bool level)
{
    subject_enter(s);
    machine_pc_set_ferr(s->pc, level);
    subject_leave(s);
}

void pair_ferr(bool level)
{
    show("FERR# %d", level);
    now.irq13 = now.irq13 || (level && !now.ferr);
    now.ignne = now.ignne && level;
    now.ferr = level;
    set_ferr(&first, level);
    if (second.pc != NULL)
        set_ferr(&second, level);
    judge();
}

void pair_reset(void)
{
    show("RESET");
    subject_reset(&first);
    for (unsigned i = 0; i < ARRAY_COUNT(uarts); i++)
        uart_model_reset(&uarts[i]);
    pit_model_reset(&pit, first.now);
    check_edges(pit_model_edges(&pit));
    now.port61 = 0;
    memset(now.pages, 0, sizeof(now.pages));
    now.pm_halves = pm_halves();
    now.pm_enabled = now.sci_enabled = false;
    now.pci_address = 0;
    now.ferr = now.irq13 = now.ignne = false;
    memset(now.dma_mask, 15, sizeof(now.dma_mask));
    rtc_model_reset(&rtc, first.now);
    if (second.pc != NULL)
        subject_reset(&second);
    judge();
}

/* ---- The date: it does not go back, even if the guest set it ---- */

static uint8_t read_rtc(unsigned index)
{
    pair_out(0x70, 1, index);
    return (uint8_t)pair_in(0x71, 1);
}

void pair_check_date(void)
{
    static const uint8_t indices[7] = {0x32, 9, 8, 7, 4, 2, 0};
    uint64_t look = first.look;
    uint8_t date[7];
    uint8_t mode = read_rtc(0x0b);

    pair_set_look(0);
    for (unsigned i = 0; i < 7; i++)
        date[i] = read_rtc(indices[i]);
    pair_set_look(look);
    if (now.is_date_old && (mode & 2) && date[0] < 0x60 &&
        memcmp(date, now.date, 7) < 0)
        fail("the date went back");
    memcpy(now.date, date, 7);
    now.is_date_old = true;
}

/* ---- Saving ---- */

static void compare_states(void)
{
    struct state_image a = {0}, b = {0};
    const char *field = NULL;
    char text[80];

    machine_pc_save(first.pc, &a);
    machine_pc_save(second.pc, &b);
    if (a.failed || b.failed)
        fail("an image failed");
    field = state_difference(&a, &b, text, sizeof(text));
    if (field != NULL)
        fail("the loaded board differs in %s", field);
    state_image_fini(&a);
    state_image_fini(&b);
}

/* What is not the board's is copied. */
static void copy_host(void)
{
    second.look = first.look;
    second.intr = first.intr;
    second.a20 = first.a20;
    second.ignne = first.ignne;
    second.seen = first.seen;
    memcpy(second.level, first.level, sizeof(second.level));
}

void pair_save(void)
{
    struct state_image image = {0};

    if (now.saves++ >= SAVES_MAX)
        return;
    show("save");
    machine_pc_save(first.pc, &image);
    if (second.pc != NULL)
        subject_stop(&second);
    subject_start(&second, first.now);
    machine_pc_load(second.pc, &image);
    if (image.failed || image.at != image.len)
        fail("the image was not loaded");
    state_image_fini(&image);
    copy_host();
    judge();
}

/* ---- From beginning to end ---- */

void pair_start(void)
{
    if (first.clock == NULL) {
        subject_init(&first);
        subject_init(&second);
        first.input = hear_input;
        first.reset = hear_reset;
    }
    memset(&now, 0, sizeof(now));
    memset(&pit, 0, sizeof(pit));
    memset(now.dma_mask, 15, sizeof(now.dma_mask));
    now.verbose = getenv("FUZZ_VERBOSE") != NULL;
    rtc_model_create(&rtc, SUBJECT_EPOCH);
    pic_model_create(&pic);
    for (unsigned i = 0; i < ARRAY_COUNT(uarts); i++)
        uart_model_reset(&uarts[i]);
    pit.wire = true;
    pit_model_reset(&pit, 0);
    subject_start(&first, 0);
    judge();
}

void pair_stop(void)
{
    if (second.pc != NULL) {
        compare_states();
        subject_stop(&second);
    }
    subject_stop(&first);
}
