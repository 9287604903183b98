/* Commands on their way: tags, what is in flight, who is answered when. Private to imap/.
 *
 * A *request* is one call of an imap_send_*() function, with one `done`; it stands for any number
 * of *commands* (a long UID FETCH is several, a LIST may need an LSUB). Commands wait for their
 * tagged reply in the order sent; requests are done in the order made, each when it and all before
 * it have no command left.
 */
#pragma once

#include "imap/copied.h"
#include "imap/imap.h"
#include "imap/upload.h"

struct imap_command;
struct imap_listing;

struct imap_request {
    unsigned pending;      /* commands not yet answered */
    enum imap_error error; /* of the first command that failed */
    char *code, *text;     /* of that, else of the last answer; code may be NULL */
    imap_done done;        /* may be NULL */
    void *data;
    struct imap_listing *listing; /* LIST: what is collected (list.h); else NULL */
    struct imap_report *report;   /* of commands that change mail: what was told; else NULL */
    bool out;                     /* an APPEND of it was wholly written */
    uint64_t highestmodseq;       /* of the last tagged answer that told it; 0: none */
};

/* What a kind of command does beyond waiting for its answer. Members may be NULL. */
struct imap_command_kind {
    bool needs_mailbox; /* makes sense only while the mailbox of now is selected */
    bool waits; /* is not written while a SELECT is in flight: a server that keeps the old mailbox
                   when it fails would change the wrong messages */
    bool idles; /* IDLE: is written when it is alone, and its last piece when it no longer is */
    /* All commands before it are answered: what the server says now is about this one. */
    void (*begins)(struct imap_session *session, struct imap_command *command);
    /* Its tagged reply is there; it still counts as pending. */
    void (*answered)(struct imap_session *session, struct imap_command *command,
                     const struct imap_result *result);
};

/* A tagged reply that came before its command was all written. */
struct imap_answer {
    bool given;
    enum imap_error error;
    char *code, *text; /* code may be NULL */
};

struct imap_command {
    char tag[24];
    const struct imap_command_kind *kind;
    struct imap_request *request;
    GQueue pieces;          /* of GString: each but the first waits for the server's "+" */
    bool begun;             /* a piece was written */
    bool current;           /* kind->begins() was called */
    bool forgiven;          /* its failure is not its request's */
    bool behind;            /* when it was written, another was not answered */
    bool crowded;           /* so it was, or another was written behind it */
    unsigned blame;         /* enum imap_capability: left out if the server ends of it; 0: none */
    unsigned tested;        /* connections had ended at its blame, so it is given alone; 0: none */
    enum imap_error doomed; /* its EXAMINE failed: answered with this; else IMAP_OK */
    char *doomed_text;
    char *mailbox;              /* EXAMINE, SELECT: the wire name */
    char *about;                /* STATUS: the wire name */
    struct imap_upload *upload; /* APPEND: its message, before the last piece; else NULL */
    struct imap_answer answer;  /* waits for the literal's end */
    uint32_t first, last;       /* UID SEARCH: its bounds, last 0: none */
};

struct imap_queue {
    GQueue requests;      /* oldest first */
    GQueue commands;      /* not yet answered, oldest first */
    GList *unsent;        /* link of the first command that is not wholly written; NULL: none */
    bool awaits_continue; /* the first unsent one waits for a "+" */
    unsigned uploads;     /* commands with an upload */
    bool serial;          /* each command waits for the answer to the one before */
    gint64 done_us;       /* the last DONE was written, g_get_monotonic_time() */
};

/* A tag that no other command of this process has, over all connections: a late answer is never
 * taken for another's. */
void imap_tag_next(char tag[24]);

void imap_queue_clear(struct imap_queue *queue);

struct imap_request *imap_queue_request(struct imap_queue *queue, imap_done done, void *data);
/* A new command at the end, its text beginning with the tag and a space. */
struct imap_command *imap_queue_command(struct imap_queue *queue, struct imap_request *request,
                                        const struct imap_command_kind *kind);
/* Appends to the command's text; imap_command_end() makes the line whole. */
GString *imap_command_text(struct imap_command *command);
/* A wire name; as a literal where it must be, non-synchronising if capabilities allow. */
void imap_command_mailbox(struct imap_command *command, const char *wire, bool utf8,
                          unsigned capabilities);
void imap_command_end(struct imap_command *command);

/* Gives a command that has one piece so far a message to send as a literal, and ends it. */
void imap_command_upload(struct imap_queue *queue, struct imap_command *command,
                         const struct imap_append *append, unsigned capabilities);

/* Whether there is something to write that waits for nothing. */
bool imap_queue_writable(const struct imap_queue *queue);
/* Hands the stream all that may be written now, of a message as much as it should hold. False: a
 * message's file is shorter than it was, and its command has its answer; the connection must end.
 */
bool imap_queue_write(struct imap_queue *queue, struct imap_stream *stream);
/* The stream handed over so many bytes (imap_stream_handed()). */
void imap_queue_written(struct imap_queue *queue, uint64_t handed);
/* Whether nothing is written in part, so that another command could follow. */
bool imap_queue_is_whole(const struct imap_queue *queue);
/* The server said "+". False: nobody waited for it. */
bool imap_queue_continue(struct imap_queue *queue);

struct imap_command *imap_queue_find(const struct imap_queue *queue, const char *tag);
/* The IDLE that was written and not answered, NULL: none. */
struct imap_command *imap_queue_idle(const struct imap_queue *queue);
/* Whether its DONE was not written. */
bool imap_queue_idle_lasts(const struct imap_queue *queue);

struct imap_command *imap_queue_oldest(const struct imap_queue *queue);
/* Commands that wait for an answer; not an IDLE that lasts. */
unsigned imap_queue_in_flight(const struct imap_queue *queue);
/* Whether the server may say OK to this command: it was given all of it, or it may end it. */
bool imap_command_is_out(const struct imap_queue *queue, const struct imap_command *command);
/* Keeps the answer to a command whose literal must still be written to its end. False: there is
 * none, it can be answered. */
bool imap_queue_postpone(struct imap_queue *queue, struct imap_command *command,
                         const struct imap_result *result);
/* Takes an answered command out and books its result, or the one that was postponed, on its
 * request. */
void imap_queue_answer(struct imap_queue *queue, struct imap_command *command,
                       const struct imap_result *result);
/* Takes out the oldest request if it is done, NULL: it is not, or there is none. */
struct imap_request *imap_queue_done(struct imap_queue *queue);
void imap_request_free(struct imap_request *request);
