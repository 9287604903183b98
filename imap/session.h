/* What a session is made of. Private to imap/: open.c makes one, session.c runs it in its thread,
 * send.c and list.c give it commands. */
#pragma once

#include "imap/capability.h"
#include "imap/command.h"
#include "imap/flaws.h"
#include "imap/mailbox.h"
#include "imap/reply.h"
#include "imap/stream.h"

struct imap_session {
    /* since it was opened */
    unsigned number;
    char *server_name;     /* greeting, or the ID's name; not NULL */
    const char *mechanism; /* that signed in, static; NULL: PREAUTH */
    const char *missed;    /* the better one that is offered no more, interned; NULL: none */
    struct imap_stream *stream;
    struct imap_parser *parser;
    struct imap_capabilities capabilities;
    bool utf8;                /* ENABLED: mailbox names are UTF-8 */
    bool qresync;             /* ENABLED: so it is */
    struct imap_flaws *flaws; /* what the server does not stand; NULL: not kept */
    unsigned crowds;          /* imap_caution's, when it was opened */
    char **namespaces; /* prefixes of all namespaces (RFC 2342), wire names; NULL: not told */
    uint32_t apart;    /* bit i: LIST "*" is known to leave namespace i out */
    GPtrArray *alerts; /* of char *: heard before there was anybody to tell */
    uint64_t amid;     /* bytes received that ended amid data */
    /* since imap_session_attach() */
    GSource *source; /* NULL: not attached */
    gpointer fd_tag; /* of the source; NULL: closed */
    const struct imap_events *events;
    void *events_data;
    /* commands and what they are about */
    struct imap_queue queue;
    struct imap_mailbox mailbox;
    const struct imap_request *finishing; /* whose `done` is being called; NULL: none */
    bool inbox_sought;                    /* LIST left it out, so it was asked for by name */
    bool notified;                        /* NOTIFY was asked for: STATUS may come by itself */
    char *wanted; /* wire name of what is selected or about to be; NULL: none */
    /* the end */
    unsigned holds;         /* turns of the main loop and calls that still use the memory */
    bool freed;             /* imap_session_free() was called: no callback any more */
    enum imap_error closed; /* not IMAP_OK: the connection is over, of this */
    char *closed_text;
    bool closed_told; /* events->closed() was called */
};

/* Calls a handler of the owner, if there is one and somebody to call. */
#define EMIT(session, handler, ...)                                                     \
    do {                                                                                \
        if (!(session)->freed && (session)->events && (session)->events->handler)       \
            (session)->events->handler((session), __VA_ARGS__, (session)->events_data); \
    } while (0)

/* A session as imap_session_open() builds it; not to be called by others. */
struct imap_session *imap_session_new(void);
/* Does what a reply says, calling whom it concerns; the session may be freed or closed after. */
void imap_session_reply(struct imap_session *session, struct imap_reply *reply);
/* The connection is over; who waits is told at the end of this turn of the main loop. */
void imap_session_fail(struct imap_session *session, enum imap_error error, const char *text);
/* Goes by what other sessions with this server have learned since. */
void imap_session_heed(struct imap_session *session);
/* Whether it was freed or has failed: nothing is read any more. */
bool imap_session_over(const struct imap_session *session);
/* Calls `done` of all requests that are. */
void imap_session_finish(struct imap_session *session);
/* Remembers or tells an ALERT. */
void imap_session_alert(struct imap_session *session, const char *text);
/* Takes over ENABLED's words. */
void imap_session_enabled(struct imap_session *session, const char *const *words);
/* There is something to write or to tell: the next turn of the main loop does it. */
void imap_session_wake(struct imap_session *session);

struct imap_request *imap_session_request(struct imap_session *session, imap_done done, void *data);
/* Fails a request that has no command, for a reason of our own; the first reason stays. */
void imap_request_refuse(struct imap_request *request, enum imap_error error, const char *text);
/* A new command of `request`, its text "TAG " followed by `text`; more may be appended, and
 * imap_command_end() must be called. */
struct imap_command *imap_session_command(struct imap_session *session,
                                          struct imap_request *request,
                                          const struct imap_command_kind *kind, const char *text);

/* What to leave out from now on if the server ends connections at this command. */
void imap_session_blame(const struct imap_session *session, struct imap_command *command,
                        unsigned blame);

/* One command that is one line. */
struct imap_command *imap_session_line(struct imap_session *session,
                                       const struct imap_command_kind *kind, const char *text,
                                       imap_done done, void *data);

/* The items of STATUS worth asking this server. */
const char *imap_status_items(const struct imap_session *session);

/* A set of UIDs that is split over commands: "text set behind". */
struct imap_split {
    const struct imap_command_kind *kind;
    const char *text;    /* "UID MOVE " */
    const char *behind;  /* follows the set; "" if nothing does */
    const char *mailbox; /* wire name that follows `behind`; NULL: none */
};
void imap_session_split(struct imap_session *session, struct imap_request *request,
                        const struct imap_uidset *uids, const struct imap_split *split);
