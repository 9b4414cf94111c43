/* SPDX-License-Identifier: MIT */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/console.h"
#include "tests/suite/suite.h"

/* stdin and stdout are pipes here; Check's fork keeps that to one test. */

static struct config config;
static struct console *console;
static int keys;   /* write end of stdin */
static int screen; /* read end of stdout */
static size_t room;
static char serial[64 * KIB];
static size_t serial_len;
static char monitor[256];
static size_t monitor_len;
static unsigned quits;
static unsigned shows;

static size_t serial_room(void *opaque, unsigned port)
{
    (void)opaque;
    ck_assert_uint_eq(port, 0);
    return room;
}

static void serial_receive(void *opaque, unsigned port, const uint8_t *data,
                           size_t len)
{
    (void)opaque;
    (void)port;
    ck_assert_uint_le(len, room);
    ck_assert_uint_le(len, sizeof(serial) - serial_len);
    memcpy(serial + serial_len, data, len);
    serial_len += len;
}

static void monitor_shown(void *opaque)
{
    (void)opaque;
    shows++;
}

static void monitor_receive(void *opaque, uint8_t byte)
{
    (void)opaque;
    monitor[monitor_len++ % sizeof(monitor)] = (char)byte;
}

static void quit(void *opaque)
{
    (void)opaque;
    quits++;
}

static bool is_stopping(void *opaque)
{
    (void)opaque;
    return false;
}

static const struct console_host host = {
    .serial_room = serial_room,
    .serial_receive = serial_receive,
    .monitor_shown = monitor_shown,
    .monitor_receive = monitor_receive,
    .quit = quit,
    .is_stopping = is_stopping,
};

static void setup(void)
{
    int in[2], out[2];

    ck_assert_int_eq(pipe(in), 0);
    ck_assert_int_eq(pipe(out), 0);
    ck_assert_int_eq(dup2(in[0], STDIN_FILENO), STDIN_FILENO);
    ck_assert_int_eq(dup2(out[1], STDOUT_FILENO), STDOUT_FILENO);
    close(in[0]);
    close(out[1]);
    keys = in[1];
    screen = out[0];
    config = (struct config){.serial[0].kind = CHAR_MUX};
    room = sizeof(serial);
    serial_len = 0;
    monitor_len = 0;
    quits = 0;
    shows = 0;
}

static void teardown(void)
{
    console_destroy(console);
    console = NULL;
}

static void open_console(void)
{
    const char *bad;

    ck_assert_int_eq(console_create(&console, &config, &host, &bad), 0);
}

static void type(const char *text)
{
    size_t len = strlen(text);

    ck_assert_int_eq(write(keys, text, len), (ssize_t)len);
    console_pump(console);
}

static void ck_serial(const char *text)
{
    ck_assert_uint_eq(serial_len, strlen(text));
    ck_assert_mem_eq(serial, text, serial_len);
}

START_TEST(keys_go_to_the_serial_port)
{
    open_console();
    type("hello\x03\x01\x01");
    ck_serial("hello\x03\x01");
}
END_TEST

START_TEST(ctrl_a_c_moves_the_keys_to_the_monitor_and_back)
{
    open_console();
    type("a\x01"
         "cinfo\x01"
         "cb");
    ck_serial("ab");
    ck_assert_uint_eq(shows, 1);
    ck_assert_mem_eq(monitor, "info", 4);
}
END_TEST

START_TEST(ctrl_a_x_quits)
{
    open_console();
    type("\x01x");
    ck_assert_uint_eq(quits, 1);
}
END_TEST

START_TEST(plain_stdio_has_no_escapes)
{
    config.serial[0].kind = CHAR_STDIO;
    open_console();
    type("\x01x");
    ck_serial("\x01x");
    ck_assert_uint_eq(quits, 0);
}
END_TEST

START_TEST(input_waits_until_the_port_takes_it)
{
    open_console();
    room = 0;
    type("abcdef");
    ck_assert_uint_eq(serial_len, 0);
    room = 4;
    ck_assert(console_pump(console));
    ck_serial("abcd");
    ck_assert(!console_pump(console));
    ck_serial("abcdef");
}
END_TEST

START_TEST(stdin_is_left_alone_while_the_buffer_is_full)
{
    char text[256];

    open_console();
    room = 0;
    memset(text, 'x', sizeof(text));
    for (unsigned i = 0; i < 32; i++) {
        ck_assert_int_eq(write(keys, text, sizeof(text)), sizeof(text));
        console_pump(console);
    }
    ck_assert_int_eq(console_input_fd(console), -1);
    room = 16;
    while (console_pump(console))
        ;
    while (serial_len < 32 * sizeof(text))
        console_pump(console);
    ck_assert_uint_eq(serial_len, 32 * sizeof(text));
}
END_TEST

START_TEST(the_end_of_stdin_only_ends_the_polling)
{
    open_console();
    ck_assert_int_eq(console_input_fd(console), STDIN_FILENO);
    close(keys);
    console_pump(console);
    ck_assert_int_eq(console_input_fd(console), -1);
    ck_assert_uint_eq(quits, 0);
}
END_TEST

/* Read all that the child writes, slowly, from a pipe that does not block. */
START_TEST(output_is_complete_when_the_reader_is_slow)
{
    static uint8_t text[256 * KIB];
    size_t got = 0;

    open_console();
    fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)(i * 7);
    pid_t child = fork();
    if (child == 0) {
        struct char_backend port = console_serial(console, 0);

        port.write(port.opaque, text, sizeof(text));
        _exit(0);
    }
    close(STDOUT_FILENO);
    while (got < sizeof(text)) {
        uint8_t part[5000];
        ssize_t len = read(screen, part, sizeof(part));

        ck_assert_int_gt(len, 0);
        ck_assert_mem_eq(part, text + got, (size_t)len);
        got += (size_t)len;
        usleep(200);
    }
    waitpid(child, NULL, 0);
}
END_TEST

START_TEST(a_port_that_is_not_there_has_no_backend)
{
    open_console();
    ck_assert_ptr_nonnull(console_serial(console, 0).write);
    ck_assert_ptr_null(console_serial(console, 1).write);
    ck_assert_ptr_null(console_debugcon(console).write);
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_is_named)
{
    const char *bad;

    config.serial[1] =
        (struct char_config){.kind = CHAR_FILE, .path = "/nonexistent/x"};
    ck_assert_int_lt(console_create(&console, &config, &host, &bad), 0);
    ck_assert_str_eq(bad, "/nonexistent/x");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("console");
    TCase *tcase = tcase_create("stdio");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, keys_go_to_the_serial_port);
    tcase_add_test(tcase, ctrl_a_c_moves_the_keys_to_the_monitor_and_back);
    tcase_add_test(tcase, ctrl_a_x_quits);
    tcase_add_test(tcase, plain_stdio_has_no_escapes);
    tcase_add_test(tcase, input_waits_until_the_port_takes_it);
    tcase_add_test(tcase, stdin_is_left_alone_while_the_buffer_is_full);
    tcase_add_test(tcase, the_end_of_stdin_only_ends_the_polling);
    tcase_add_test(tcase, output_is_complete_when_the_reader_is_slow);
    tcase_add_test(tcase, a_port_that_is_not_there_has_no_backend);
    tcase_add_test(tcase, a_file_that_cannot_be_opened_is_named);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
