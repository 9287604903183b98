/* Jobs: what wishes become. Equal wishes share one job; a job runs on one line, as a row of
 * commands, and is answered once.
 *
 *      waiting --placed--> running --job_end()--> ended, drains --last command answered--> freed
 *         ^                   |
 *         '----line lost------'   (twice at most)
 *
 * A job may be *parked*: off its line, waiting for another job or a parser. The kinds of jobs are
 * tables of functions (struct job_class), one a room: folders, sync, structure, reader.
 */
#pragma once

#include "fs/engine/state.h"

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_PARKED, JOB_ENDED };
/* The step number of a line's own EXAMINE; the classes' steps are below. */
#define JOB_STEP_SELECT UINT32_MAX

struct job_class {
    const char *name;
    size_t size; /* of the struct that begins with a struct job */
    /* Completes a new job from its wish (job->mailbox and what it needs). Returns ENGINE_OK, or why
     * it cannot run. NULL: nothing to do. */
    enum engine_error (*prepare)(struct job *job);
    /* Whether the cache holds what is wished for by now. NULL: never. */
    bool (*satisfied)(struct job *job);
    /* Whether it needs no line of its own: it is parked from the start. NULL: never. */
    bool (*alone)(const struct job *job);
    /* Begins, or begins again after a lost line: sends commands on job->line, or ends the job. The
     * mailbox is selected, or its EXAMINE is on the way, unless `examines`. */
    void (*start)(struct job *job);
    /* A command was answered, not by the end of the connection. Sends more, ends the job, or leaves
     * it to the commands still in flight (job->in_flight). */
    void (*answered)(struct job *job, unsigned step, const struct imap_result *result);
    /* What came in between; fetch returns whether this job asked for it. NULL members: nothing. */
    bool (*fetch)(struct job *job, const struct imap_fetch *fetch);
    void (*search)(struct job *job, const struct imap_uidset *uids);
    void (*vanished)(struct job *job, const struct imap_uidset *uids); /* VANISHED (EARLIER) */
    void (*expunged)(struct job *job, uint32_t uid); /* VANISHED, EXPUNGE where the UID is known */
    void (*list)(struct job *job, const struct imap_list *list);
    void (*status)(struct job *job, const struct imap_status *status);
    /* Whether it must wait until `running`, of the same class and messages, has ended. */
    bool (*clashes)(const struct job *job, const struct job *running);
    /* A command was answered by the end of the connection. Its session is still there, but perhaps
     * job->line does not have it any more. */
    void (*lost)(struct job *job, const struct imap_session *session, unsigned step);
    /* Whether the cache holds an answer that will do where the server is silent. NULL: never. */
    bool (*cached)(struct job *job);
    /* Out of reach: the error that the wishes get, or ENGINE_OK where the cache will do. */
    enum engine_error (*offline)(struct job *job, enum engine_error why);
    void (*clear)(struct job *job);
    bool examines;  /* sends its own EXAMINE */
    bool mailless;  /* belongs to no mailbox */
    bool exclusive; /* needs a line for itself, and selects there what it likes */
    bool newest;    /* of lines that fit the same the one opened last is chosen */
    bool bulk;      /* goes on for long, and nobody waits for it nor behind it */
};

struct job {
    const struct job_class *class;
    struct engine *engine;
    unsigned references;
    enum job_state state;
    char *key;
    /* from the wish */
    struct engine_wish wish; /* `section` is owned */
    GQueue wishes;           /* struct wish */
    bool ahead;              /* nobody waits for it */
    /* the mailbox */
    char *mailbox;        /* wire name, NULL: none */
    uint32_t folder;      /* the directory's slot */
    uint32_t uidvalidity; /* that the UIDs belong to, where the class does not examine */
    /* running */
    struct line *line; /* NULL unless running, or draining on a line that lives */
    unsigned in_flight;
    uint64_t cost;     /* bytes that it will ask for next, for the window */
    uint64_t owed;     /* bytes asked for on the line and not answered */
    gint64 made_us;    /* monotonic */
    unsigned attempts; /* ended with a connection that was made for it, or since */
    bool lost;         /* a command was answered by the end of the connection */
    /* the server wants a pause */
    unsigned pauses;   /* so often it said so to this job */
    gint64 refused_us; /* since when it gives nothing but such words, 0: it does */
};

/* Finds or makes the job for a wish and joins `wish` to it. */
void job_join(struct engine *engine, const struct engine_wish *what, struct wish *wish);
/* A job that no wish asks for; it waits for a line, and ends when that is lost. Its class' clear()
 * says when it is over. */
struct job *job_begin(struct engine *engine, const struct job_class *class, const char *key);
/* Answers the job's wishes. Its commands in flight are waited for, their answers dropped. */
void job_end(struct job *job, enum engine_error error);
/* Answers the wishes that the job has now; it goes on for its own sake, and no other joins it. */
void job_answer_early(struct job *job, enum engine_error error);
/* Takes a running job, with nothing in flight, off its line. job_end() follows some day. */
void job_park(struct job *job);
struct job *job_ref(struct job *job);
void job_unref(struct job *job);
/* A wish was withdrawn: a waiting job that nobody wants is dropped. */
void job_leave(struct wish *wish);
/* Puts waiting jobs on lines, soon. */
void job_schedule(struct engine *engine);
/* Answers everything that waits for a connection (see struct job_class.offline). */
void job_fail_waiting(struct engine *engine, enum engine_error why);
/* A line is lost: its jobs go back to wait, or end after too many attempts. `blameless`: it was not
 * what they asked for that ended it. */
void job_line_lost(struct line *line, bool blameless);
void job_lost(struct job *job, bool blameless);

/* Commands. `step` comes back with the answer; `bytes` is what the reply will about hold. */
void job_send_examine(struct job *job, unsigned step);
/* The same with QRESYNC. */
void job_send_resync(struct job *job, unsigned step, const struct imap_resync *resync);
void job_send_fetch(struct job *job, unsigned step, const struct imap_uidset *uids,
                    const struct imap_fetch_request *request, uint64_t bytes);
void job_send_search(struct job *job, unsigned step, uint32_t first, uint32_t last);
void job_send_noop(struct job *job, unsigned step);
void job_send_list(struct job *job, unsigned step, bool status);
/* SELECT of a mailbox, whose directory's slot is `folder` (0: it has none). Exclusive jobs only. */
void job_send_select(struct job *job, unsigned step, const char *mailbox, uint32_t folder);
/* For commands that have no function here: `done` and `data` of an imap_send_*(). */
void job_done(struct imap_session *session, const struct imap_result *result, void *data);
void *job_ticket(struct job *job, unsigned step, uint64_t bytes);
/* Gives the job the name that its mailbox has by now. Whether that is another. */
bool job_name_anew(struct job *job);
/* Writes what the line's session said unasked, before another mailbox is selected there. */
void job_forget_mirror(struct line *line);

/* ---- renumbered.c: UIDs that mean other messages now ------------------------------------------
 */

/* Whether the mailbox that the job's line has selected is the one that the job's UIDs are of, by
 * UIDVALIDITY. What comes of another is not the job's, whoever's EXAMINE brought it. */
bool job_is_current(const struct job *job);
/* `by`'s EXAMINE or SELECT was answered OK: notes the UIDVALIDITY, and ends the jobs on the line
 * whose UIDs are of another. If the cache has another as well, the mailbox is listed anew. */
void line_examined(struct line *line, const struct job *by);
/* Whether the cache's list is of the mailbox that the line has selected. */
bool line_is_kept(const struct line *line);
/* The mailbox of this line is to be the one that is listed: other lines that have selected one of
 * the same name and another UIDVALIDITY leave it, once what runs there has ended. */
void line_leave_old(struct line *current);

/* What an answer other than OK means to a wish. */
enum engine_error job_error_of(const struct imap_result *result);
/* The same of an EXAMINE or SELECT: lack of rights has a code, a mailbox that is gone often has
 * none. But one is not gone because the server has trouble with it. */
enum engine_error job_examine_error(const struct imap_result *result);
/* The handlers that a line's session calls. */
extern const struct imap_events JOB_EVENTS;

/* Whether it is no answer of the server, but the end of the connection. */
bool job_is_loss(enum imap_error error);
/* Whether the server says: not now (RFC 5530, throttling), so that it may be asked again. */
bool job_is_passing(const struct imap_result *result);
/* An attempt to connect has ended: answers who waits for it (ENGINE_CONNECT). */
void connect_settle(struct engine *engine);
extern const struct job_class FOLDERS_CLASS, SYNC_CLASS, STRUCTURE_CLASS, READER_CLASS, PUSH_CLASS,
    PUSHED_CLASS, CONNECT_CLASS, BULK_CLASS, PREFETCH_CLASS, PREFETCH_STOP_CLASS;
