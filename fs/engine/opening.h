/* Opening a session in a short-lived thread of its own, since resolving, TLS, signing in and
 * password commands block. The thread shares nothing with the engine but a struct opening, which is
 * counted; an engine that ends abandons it, and whoever holds it last throws the session away. */
#pragma once

#include <gio/gio.h>

#include "fs/account.h"
#include "fs/secret.h"
#include "imap/imap.h"

/* Counts the threads that run, so that a stop can wait for them, but not for ever. */
struct crew;
struct crew *crew_new(void);
void crew_unref(struct crew *crew);
/* Waits until none runs, at most so long. */
void crew_wait(struct crew *crew, gint64 wait_us);

struct opening {
    gint references; /* atomic */
    gint64 began_us;
    GCancellable *cancel;
    /* the thread's until it has handed over, then the engine's */
    struct account account; /* a copy of its own */
    struct imap_flaws *flaws;
    struct secret *secret; /* to sign in with; NULL: ask. Afterwards the one that was used */
    struct crew *crew;
    GMainContext *context; /* under the crew's lock; NULL: abandoned */
    GSourceFunc ready;
    bool transcript;
    struct imap_session *session; /* the result, NULL: `error` says why */
    GError *error;
    void *owner; /* the engine; used by `ready` only */
};

/* Starts the thread; `ready` runs in `context` with the opening as its argument when it is done.
 * Returns a reference. */
struct opening *opening_start(const struct account *account, struct imap_flaws *flaws,
                              struct secret *secret, bool transcript, struct crew *crew,
                              GMainContext *context, GSourceFunc ready, void *owner);
void opening_unref(struct opening *opening);

/* Who looks on. */
struct opening_watch {
    bool transcript;        /* to the log */
    imap_progress progress; /* NULL: nobody */
    void *data;
    struct imap_flaws *flaws; /* NULL: none are known or learned */
};
/* One attempt, in this thread, as imap_session_open(); `secret` may be NULL. */
struct imap_session *opening_session(const struct account *account, const struct secret *secret,
                                     const struct opening_watch *watch, GCancellable *cancel,
                                     GError **error);
/* Ends the attempt and gives up the reference; `ready` may still come, if it was on its way. */
void opening_abandon(struct opening *opening);
