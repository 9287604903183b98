/* With which secret the pool signs in, and when it must not.
 *
 * A secret that the server refused is never sent again by itself: servers lock accounts out. It is
 * only looked, now and then, whether the source has another one by now, which asks no server. Who
 * has nobody to ask but the user waits for him (pool_retry()).
 */
#pragma once

#include "fs/engine/opening.h"

struct signin {
    struct secret *secret;  /* the last one that was used, or was given at start; NULL: none */
    gint64 asked_us;        /* when it was asked for, 0: never, or one must be asked for anew */
    struct secret *refused; /* by the server, since it last let us in; NULL: none */
    char words[256];        /* that it said then, "" */
    unsigned refusals;      /* in a row */
    unsigned failures;      /* of asking, in a row */
    bool insist;            /* the user wants an attempt, whatever was refused */
};

void signin_init(struct signin *signin, struct secret *secret);
void signin_clear(struct signin *signin);
/* What the next attempt is to do about its secret. */
enum opening_ask signin_ask(const struct signin *signin, const struct account *account, gint64 now);
/* An attempt has ended well. Whether the server had refused one before. */
bool signin_accepted(struct signin *signin, const struct opening *opening);
/* It has ended without a sign-in. Returns how long to leave it at that, in microseconds, -1: until
 * the user says so. */
gint64 signin_failed(struct signin *signin, const struct opening *opening);
