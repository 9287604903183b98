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

/* What to do about the secret. */
enum opening_ask {
    OPENING_ASK_IF_NEEDED, /* if there is none, or once more if it is refused */
    OPENING_ASK_FIRST,     /* before anything, if anybody can be asked */
    OPENING_ASK_ANOTHER,   /* the same, and sign in only if it is not the one that was refused */
};

/* How far it came, if there is no session. */
enum opening_outcome {
    OPENING_TRIED,   /* up to the server, or on the way there */
    OPENING_NOTHING, /* the source of the secret gave none */
    OPENING_SAME,    /* it gave the one that was refused */
    OPENING_NOBODY,  /* only the user could give another one */
};

/* That the source of the secret gave none, in its words (OPENING_NOTHING). */
#define OPENING_ERROR opening_error_quark()
GQuark opening_error_quark(void);

struct opening {
    gint references; /* atomic */
    gint64 began_us;
    GCancellable *cancel;
    /* the thread's until it has handed over, then the engine's */
    struct account account; /* a copy of its own */
    struct imap_flaws *flaws;
    struct secret *secret; /* to sign in with, or (ASK_ANOTHER) the one that was refused; NULL:
                              none. Afterwards the one that was used */
    enum opening_ask ask;
    enum opening_outcome outcome;
    bool fresh;   /* the secret was asked for here */
    bool can_ask; /* with an error: there is somebody to ask, beside the user */
    gint asking;  /* atomic: it is being asked for just now */
    struct crew *crew;
    GMainContext *context; /* under the crew's lock; NULL: abandoned */
    GSourceFunc ready;
    bool transcript;
    const char *before;           /* interned, as imap_login.before; NULL: not known */
    struct imap_session *session; /* the result, NULL: `error` says why */
    GError *error;
    bool worked; /* as imap_server.worked */
    void *owner; /* the engine; used by `ready` only */
};

/* Starts the thread; `ready` runs in `context` with the opening as its argument when it is done.
 * Returns a reference. */
struct opening *opening_start(const struct account *account, struct imap_flaws *flaws,
                              struct secret *secret, enum opening_ask ask, const char *before,
                              bool worked, bool transcript, struct crew *crew,
                              GMainContext *context, GSourceFunc ready, void *owner);
void opening_unref(struct opening *opening);

/* Who looks on. */
struct opening_watch {
    bool transcript;        /* to the log */
    const char *before;     /* as imap_login.before; NULL: not known */
    bool worked;            /* as imap_server.worked */
    imap_progress progress; /* NULL: nobody */
    void *data;
    struct imap_flaws *flaws; /* NULL: none are known or learned */
};
/* One attempt, in this thread, as imap_session_open(); `secret` may be NULL. */
struct imap_session *opening_session(const struct account *account, const struct secret *secret,
                                     const struct opening_watch *watch, GCancellable *cancel,
                                     GError **error);
/* Whether there is a Kerberos ticket with which to try without a secret; the server hears nothing.
 * In this thread, which it may hold up as a KDC does. */
bool opening_ticket(const struct account *account, GCancellable *cancel);
/* Whether an attempt without a secret failed for that. */
bool opening_needs_secret(const GError *error);

/* Ends the attempt and gives up the reference; `ready` may still come, if it was on its way. */
void opening_abandon(struct opening *opening);
