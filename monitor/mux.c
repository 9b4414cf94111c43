/* SPDX-License-Identifier: MIT */
#include "monitor/mux.h"

const char mux_help[] = "\r\n"
                        "C-a h    print this help\r\n"
                        "C-a x    exit popf\r\n"
                        "C-a c    switch between console and monitor\r\n"
                        "C-a C-a  sends C-a\r\n";

static enum mux_event escape_event(uint8_t byte)
{
    switch (byte) {
    case 'x': return MUX_QUIT;
    case 'h':
    case '?': return MUX_HELP;
    case 'c': return MUX_TOGGLE;
    case MUX_ESCAPE: return MUX_BYTE;
    default: return MUX_NOTHING;
    }
}

enum mux_event mux_feed(struct mux *mux, uint8_t byte)
{
    if (mux->escaped) {
        mux->escaped = false;
        return escape_event(byte);
    }
    if (byte != MUX_ESCAPE)
        return MUX_BYTE;
    mux->escaped = true;
    return MUX_NOTHING;
}
