/* Trying an account step by step, for mailmount --check: opens one session, lists the folders, asks
 * what may be done with INBOX. Needs neither cache nor engine, and changes nothing on the server
 * (where there are no rights to ask for INBOX is selected, which takes \Recent off its messages).
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

#include "fs/account.h"
#include "fs/engine/engine.h"
#include "fs/secret.h"

enum check_mark {
    CHECK_GOOD,
    CHECK_NOTE, /* it works, but not all that a user may expect */
    CHECK_BAD,  /* nothing comes behind it */
};
/* What came out of a step: its name, and one line in plain words that says what is so and, unless
 * it is good, what to do. `text` may hold the server's words as they are. Any thread. */
typedef void (*check_report)(const char *step, enum check_mark mark, const char *text, void *data);

struct check {
    const struct account *account;
    const struct secret *secret; /* NULL: none */
    bool transcript;             /* protocol lines to the log */
    GCancellable *cancel;
    check_report report;
    void *data;
};

/* Blocks until it is done; a step that fails ends it. Returns whether all went well; else `*reason`
 * says what kind of failure it was. */
bool engine_check(const struct check *check, enum engine_start_reason *reason);
