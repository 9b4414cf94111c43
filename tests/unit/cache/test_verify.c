/* SPDX-License-Identifier: MIT */
#include "cache_fixture.h"

#include <stdlib.h>

/* tc_verify() finds what is wrong, and says so. */

struct corruption {
    const char *message;
    void (*plant)(struct ccf *a, struct ccf *b, struct ccf *dead);
};

/* a is chained to b; dead is behind them. */
static void chained_step(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    a->exits->kind = EXIT_STEP;
}

static void lost_stub(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)dead;
    mcode_patch_rel32(tc_mcode(tc), b->start + REL_OFFSET, a->body);
}

static void chained_to_dead(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)a;
    b->exits->chained = dead;
}

static void not_incoming(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)a, (void)dead;
    b->incoming = NULL;
}

static void not_listed(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)a, (void)dead;
    b->gip += PAGE_SIZE;
}

static void lost_target(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    mcode_patch_rel32(tc_mcode(tc), a->start + REL_OFFSET, a->body);
}

static void dead_with_incoming(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b;
    dead->incoming = a->exits;
}

static void dead_entered(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)a, (void)b;
    mcode_patch_jmp(tc_mcode(tc), dead->entry, stubs.lookup);
}

static void dead_returned_to(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)a, (void)b;
    mcode_patch_jmp(tc_mcode(tc), dead->start + RETURN_OFFSET, stubs.miss);
}

static void not_traced(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    untraced = a->source[0].gfn;
}

static void other_bytes(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    a->source[0].bytes[3] ^= 1;
}

static void lost_from_shelf(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)a, (void)b;
    dead->bytes_hash++;
}

static void living_on_shelf(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    a->shelved = true;
}

static void other_bucket(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    a->gip += 4;
}

static void other_frame(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    a->source_count = 2;
    a->source[1].gfn = 99;
}

static void overlap(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)b, (void)dead;
    a->host_len += 1;
}

static void out_of_region(struct ccf *a, struct ccf *b, struct ccf *dead)
{
    (void)a, (void)b;
    dead->host_len = 70000;
}

static const struct corruption corruptions[] = {
    {"an exit is chained that cannot be",                    chained_step      },
    {"an unchained exit does not lead to its stub",          lost_stub         },
    {"a dead CCF is chained",                                chained_to_dead   },
    {"a chained exit is not in its target's list",           not_incoming      },
    {"a chained exit does not lead to its target",           lost_target       },
    {"a chain into another page is not in that page's list", not_listed        },
    {"a dead CCF has incoming exits",                        dead_with_incoming},
    {"a dead CCF can be entered",                            dead_entered      },
    {"a dead CCF can be returned to",                        dead_returned_to  },
    {"a frame with a live CCF is not traced",                not_traced        },
    {"a live CCF is not what its source bytes are",          other_bytes       },
    {"the shelf does not hold what it should",               lost_from_shelf   },
    {"a live CCF is on the shelf",                           living_on_shelf   },
    {"a live CCF is not in its hash bucket",                 other_bucket      },
    {"a live CCF is not in its frame's list",                other_frame       },
    {"CCFs of a region overlap or are out of order",         overlap           },
    {"a CCF leaves its region",                              out_of_region     },
};

START_TEST(the_verifier_names_a_planted_corruption)
{
    const struct corruption *c = &corruptions[_i];
    struct ccf *a = add_kept(0x1000, 7, 0x10);
    struct ccf *b = add_kept(0x1010, 7, 0x20);
    struct ccf *dead = add_kept(0x1020, 7, 0x30);

    tc_chain(tc, a->exits, b);
    tc_drop_range(tc, 7, 0x20, 1);
    verify();
    c->plant(a, b, dead);
    ck_assert_pstr_eq(tc_verify(tc), c->message);
}
END_TEST

void add_verifier(TCase *tcase)
{
    tcase_add_loop_test(tcase, the_verifier_names_a_planted_corruption, 0,
                        ARRAY_COUNT(corruptions));
}
