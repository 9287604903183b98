/* The face of imap/: speaking IMAP4rev1 and rev2 (RFC 3501, RFC 9051) as a client.
 *
 * A session is one connection. It is opened by imap_session_open(), which blocks and therefore runs
 * in a short-lived thread; what it returns is logged in, never blocks again and belongs to one
 * thread, the one that attaches it to its GMainContext. From then on commands are queued with the
 * imap_send_*() functions, written as the socket takes them (pipelined), and answered by callbacks:
 * each command's `done` exactly once and in the order sent, also when the connection is lost; data
 * that the server sends in between by the handlers in struct imap_events.
 *
 * imap/ knows nothing of disks, files or FUSE. Strings are UTF-8 and NUL-terminated unless said
 * otherwise. What a callback is given is borrowed and dies when it returns.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

/* ---- errors ------------------------------------------------------------------------------- */

/* What can go wrong, by what the caller can do about it. Also the codes of IMAP_ERROR, the GError
 * domain that imap_session_open() reports in. */
enum imap_error {
    IMAP_OK = 0,
    /* opening */
    IMAP_ERROR_RESOLVE,     /* the host name has no address */
    IMAP_ERROR_CONNECT,     /* refused, unreachable */
    IMAP_ERROR_TLS,         /* the handshake failed, or STARTTLS is not offered */
    IMAP_ERROR_CERTIFICATE, /* the certificate is not to be trusted; the message says why */
    IMAP_ERROR_NOT_IMAP,    /* whoever answers does not speak IMAP */
    IMAP_ERROR_LOGIN,       /* the server refused user name or secret */
    IMAP_ERROR_MECHANISM,   /* no sign-in method that both sides have, or that `auth` allows */
    IMAP_ERROR_UNAVAILABLE, /* the server says: not now (RFC 5530 UNAVAILABLE, INUSE, LIMIT, BYE) */
    /* at any time */
    IMAP_ERROR_TIMEOUT,  /* no progress for imap_server.timeout_s seconds */
    IMAP_ERROR_LOST,     /* the connection ended before the answer */
    IMAP_ERROR_PROTOCOL, /* the server broke the protocol beyond repair; the connection is closed */
    IMAP_ERROR_CANCELLED, /* by the caller */
    /* a command was answered NO or BAD; finer where a response code (RFC 9051, 7.1) says so */
    IMAP_ERROR_NO,
    IMAP_ERROR_BAD,
    IMAP_ERROR_NONEXISTENT, /* NONEXISTENT, TRYCREATE */
    IMAP_ERROR_NOPERM,      /* NOPERM, ACL */
    IMAP_ERROR_OVERQUOTA,   /* OVERQUOTA */
    IMAP_ERROR_TOOBIG,      /* TOOBIG, APPENDLIMIT */
    IMAP_ERROR_CANNOT,      /* CANNOT */
    IMAP_ERROR_EXISTS,      /* ALREADYEXISTS */
};
#define IMAP_ERROR imap_error_quark()
GQuark imap_error_quark(void);

/* ---- sets of UIDs (RFC 9051, 9: sequence-set), sorted ranges -------------------------------- */

struct imap_range {
    uint32_t first, last;
};
struct imap_uidset;

struct imap_uidset *imap_uidset_new(void);
void imap_uidset_free(struct imap_uidset *set);
typedef struct imap_uidset imap_uidset; /* for g_autoptr() */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(imap_uidset, imap_uidset_free)

/* Adds UIDs first..last. Returns false, changing nothing, if first is 0 or above last. */
bool imap_uidset_add(struct imap_uidset *set, uint32_t first, uint32_t last);
bool imap_uidset_contains(const struct imap_uidset *set, uint32_t uid);
/* How many UIDs, and the ranges, ascending and not touching each other. */
uint64_t imap_uidset_count(const struct imap_uidset *set);
size_t imap_uidset_ranges(const struct imap_uidset *set, const struct imap_range **ranges);
/* Reads "1:4,7" (also "4:1"; no "*"). Returns NULL if it is not such a set or has over a million
 * ranges. */
struct imap_uidset *imap_uidset_parse(const char *text, size_t length);
/* Appends the shortest form ("1:4,7"), at most `max` bytes of it, to `out`, beginning with the
 * first UID >= `from`. Returns the first UID that did not fit, 0 when all did. */
uint32_t imap_uidset_write(const struct imap_uidset *set, uint32_t from, size_t max, GString *out);

/* ---- mailbox names ------------------------------------------------------------------------- */

/* Modified UTF-7 (RFC 3501, 5.1.3) to UTF-8 and back. Decoding returns NULL for what is not valid
 * modified UTF-7 in its shortest form (the caller then shows the bytes themselves), so that what
 * was decoded encodes to the same bytes; encoding returns NULL for what is not valid UTF-8. */
char *imap_utf7_decode(const char *wire);
char *imap_utf7_encode(const char *utf8);

/* ---- opening a session ---------------------------------------------------------------------- */

enum imap_tls {
    IMAP_TLS_IMPLICIT, /* TLS from the first byte (RFC 8314) */
    IMAP_TLS_STARTTLS, /* STARTTLS, required: never goes on without it */
    IMAP_TLS_NONE,     /* in the clear, because the user said so */
};

/* A line of the transcript, secrets already replaced by "<secret>", no line end; literals and long
 * lines are cut with a note of their length. Called from whichever thread runs the session. */
typedef void (*imap_transcript)(unsigned connection, bool from_server, const char *line,
                                void *data);

/* The steps of opening a session, in the order in which they come as a rule. */
enum imap_step {
    IMAP_STEP_RESOLVE, /* the host's addresses */
    IMAP_STEP_CONNECT,
    IMAP_STEP_TLS,     /* handshake and certificate; with STARTTLS from the greeting on */
    IMAP_STEP_SERVER,  /* greeting and capabilities */
    IMAP_STEP_SIGN_IN, /* and what is asked right behind it */
    IMAP_STEPS
};
/* Told when a step begins (`found` is NULL), and with what was found, one line in plain words, when
 * it is done. An attempt that is made again tells its steps again. From the thread that opens. */
typedef void (*imap_progress)(enum imap_step step, const char *found, void *data);

struct imap_server {
    const char *host; /* name or address, as the user wrote it */
    uint16_t port;
    enum imap_tls tls;
    const char *ca_file;     /* PEM; NULL: the system's store */
    const char *cert_file;   /* our own certificate and what it rests on, PEM; NULL: none */
    const char *key_file;    /* its key, PEM, without passphrase; NULL: in cert_file too */
    const char *fingerprint; /* SHA-256 of the leaf certificate in hex, colons allowed: exactly this
                                certificate instead of chain and name; NULL: verify */
    unsigned timeout_s;  /* without progress while opening, four times that for all of it; 0: 30 */
    size_t literal_max;  /* bytes of a literal that are kept; longer ones are skipped and their
                            item is marked `oversized`; 0: 64 MiB */
    const char *tunnel;  /* a command for sh -c whose standard input and output are the connection;
                            host and port then only name it. NULL: none */
    const char *proxy;   /* "auto": the environment's or the desktop's, but never for this machine;
                            "socks5://[USER:PASSWORD@]HOST:PORT", "http://..."; NULL, "none" */
    const char *scheme;  /* of the URI that "auto" asks for a proxy for; NULL: imap */
    bool worked;         /* somebody has signed in there with this `tls`: no other is advised */
    bool no_compression; /* do not ask for COMPRESS=DEFLATE (RFC 4978) */
    struct imap_flaws *flaws;   /* of this server; a session takes a reference. NULL: none is known,
                                   none will be */
    imap_transcript transcript; /* NULL: none */
    void *transcript_data;
    imap_progress progress; /* NULL: nobody wants to know */
    void *progress_data;
};

struct imap_login {
    const char *user;
    const char *secret; /* password; NULL where the mechanism needs none */
    const char *token;  /* an OAuth2 access token (RFC 6750): "auto" uses it and nothing else; NULL:
                           none */
    const char *auth;   /* "auto", "login" (the LOGIN command) or a SASL mechanism's name */
    const char *before; /* imap_session_mechanism() of an earlier session, for
                           imap_session_missed(); NULL: not known */
};

/* What the server can do, learned after login (RFC 9051, 7.2.2). */
enum imap_capability {
    IMAP_CAP_IMAP4REV2 = 1 << 0,
    IMAP_CAP_LITERAL_PLUS = 1 << 1,
    IMAP_CAP_LITERAL_MINUS = 1 << 2,
    IMAP_CAP_ENABLE = 1 << 3,
    IMAP_CAP_UTF8_ACCEPT = 1 << 4,
    IMAP_CAP_CONDSTORE = 1 << 5,
    IMAP_CAP_QRESYNC = 1 << 6,
    IMAP_CAP_ESEARCH = 1 << 7,
    IMAP_CAP_LIST_EXTENDED = 1 << 8,
    IMAP_CAP_LIST_STATUS = 1 << 9,
    IMAP_CAP_SPECIAL_USE = 1 << 10,
    IMAP_CAP_NAMESPACE = 1 << 11,
    IMAP_CAP_ID = 1 << 12,
    IMAP_CAP_MOVE = 1 << 13,
    IMAP_CAP_UIDPLUS = 1 << 14,
    IMAP_CAP_IDLE = 1 << 15,
    IMAP_CAP_NOTIFY = 1 << 16,
    IMAP_CAP_OBJECTID = 1 << 17,
    IMAP_CAP_GMAIL = 1 << 18, /* X-GM-EXT-1 */
    IMAP_CAP_QUOTA = 1 << 19,
    IMAP_CAP_ACL = 1 << 20,
    IMAP_CAP_UNSELECT = 1 << 21,
    IMAP_CAP_COMPRESS = 1 << 22, /* COMPRESS=DEFLATE */
    IMAP_CAP_SASL_IR = 1 << 23,
    IMAP_CAP_STARTTLS = 1 << 24,
    IMAP_CAP_LOGINDISABLED = 1 << 25,
    IMAP_CAP_UIDONLY = 1 << 26,
    IMAP_CAP_XLIST = 1 << 27,
};

/* ---- what a server does not stand ------------------------------------------------------------ */

/* What a server was seen not to stand: capabilities that it offers and whose commands end the
 * connection (ID, ENABLE, NAMESPACE, COMPRESS, LIST-STATUS, LIST-EXTENDED and SPECIAL-USE, NOTIFY,
 * QUOTA, ACL), as bits of enum imap_capability, and these. All sessions with one server share it;
 * what one has learned the next goes by. Counted, and used from any thread. */
enum imap_flaw {
    IMAP_FLAW_LIST_INCOMPLETE = 1 << 29, /* LIST with RETURN leaves out INBOX */
    IMAP_FLAW_PIPELINING = 1 << 30,      /* a command must wait for the answer to the one before */
};
struct imap_flaws;
/* `known`: from an earlier imap_flaws_known(), or 0. `now`: a clock that only goes forward, in
 * microseconds; NULL: g_get_monotonic_time(). */
struct imap_flaws *imap_flaws_new(unsigned known, gint64 (*now)(void));
struct imap_flaws *imap_flaws_ref(struct imap_flaws *flaws);
void imap_flaws_unref(struct imap_flaws *flaws);
unsigned imap_flaws_known(struct imap_flaws *flaws);
/* What of that is not sure yet: the first session that is made ten minutes after it was learned
 * tries it again, and it is forgotten at once if connections end for other reasons meanwhile. */
unsigned imap_flaws_unproved(struct imap_flaws *flaws);
/* What the next session would try again. */
unsigned imap_flaws_due(struct imap_flaws *flaws);
/* Adds to what is known; what is presumed is not sure. */
void imap_flaws_learn(struct imap_flaws *flaws, unsigned what);
void imap_flaws_presume(struct imap_flaws *flaws, unsigned what);
/* What is known as words between blanks, "" for nothing, to be kept; the caller's. And back: words
 * that it does not know count for nothing. */
char *imap_flaws_write(unsigned known);
unsigned imap_flaws_read(const char *text);

struct imap_session;

/* Resolves, connects, makes TLS, reads the greeting, signs in, asks the capabilities, sends ID and
 * ENABLE and, last, COMPRESS where they are offered. Blocks; `cancel` (or NULL) ends it from
 * another thread. If the connection ends after the sign-in, and `flaws` are kept, it is made again,
 * a few times, until it is known what the server does not stand. Returns NULL with `error` set, the
 * message one line without a full stop that names host, and the server's words where it said some;
 * never the secret. */
struct imap_session *imap_session_open(const struct imap_server *server,
                                       const struct imap_login *login, GCancellable *cancel,
                                       GError **error);

/* Whether a connection can be made, directly or by the server's proxy; it is closed again. Blocks,
 * timeout_s at most or until `cancel` (NULL: none). False with `error` set. */
bool imap_answers(const struct imap_server *server, GCancellable *cancel, GError **error);

/* Whether Kerberos has a ticket for this server, or gets one from its KDC, so that nobody need be
 * asked for a password first. The server hears nothing of it. Blocks, a third of timeout_s at most
 * or until `cancel` (NULL: none). */
bool imap_ticket(const struct imap_server *server, const struct imap_login *login,
                 GCancellable *cancel);

/* Ends the connection at once, with LOGOUT written if the socket takes it. Every command in flight
 * is answered IMAP_ERROR_CANCELLED first. */
void imap_session_free(struct imap_session *session);
/* It will be freed because the server does not answer: notes what it may have been of. */
void imap_session_stalled(const struct imap_session *session);

/* ---- a session in its thread ---------------------------------------------------------------- */

/* Where messages went: COPYUID, or APPENDUID, of RFC 4315. */
struct imap_copied {
    uint32_t uidvalidity; /* of the target mailbox; may be 0 */
    size_t count;         /* 0: the server says that nothing was copied */
    const uint32_t *from; /* the UIDs there were, in the order of `to`; NULL: APPENDUID */
    const uint32_t *to;   /* the UIDs in the target */
};

/* How a command ended. `text` is the server's own (may be ""), bytes made safe for a log. */
struct imap_result {
    enum imap_error error;
    const char *code; /* the response code's atom in upper case ("TRYCREATE"), or NULL */
    const char *text;
    const struct imap_copied *copied; /* of COPY, MOVE and APPEND, wherever in the answer the server
                                         put it; NULL: it did not say, or what makes no sense */
    const struct imap_uidset *modified; /* of STORE UNCHANGEDSINCE: these were changed by others
                                           and left alone (MODIFIED, RFC 7162, 3.1.3); NULL: none */
    uint64_t highestmodseq; /* told in the tagged answer, as after EXPUNGE and MOVE with QRESYNC
                               (RFC 7162, 3.2.7); 0: none */
};
typedef void (*imap_done)(struct imap_session *session, const struct imap_result *result,
                          void *data);

/* Whether what is refused may be asked for again (RFC 5530, 3, and words of servers that have no
 * code for it). */
enum imap_passing {
    IMAP_PASSING_NOT,     /* it stays so */
    IMAP_PASSING_TROUBLE, /* the server's own trouble, perhaps with this message alone */
    IMAP_PASSING_LATER,   /* "try again later", perhaps of this mailbox or message alone */
    IMAP_PASSING_PAUSE,   /* the server wants less: nothing should be asked for a while */
    IMAP_PASSING_QUOTA,   /* the same of what was to be fetched; of a change: the account is full */
};
/* Of any result; one that is no refusal, or the connection's end, is IMAP_PASSING_NOT. `wait_ms`
 * (may be NULL) is how long the server says that it lasts, a day at most; 0: it does not say. */
enum imap_passing imap_passing_of(const struct imap_result *result, uint64_t *wait_ms);
/* Whether a NO without a code is, by its words, about the server ("internal error") and not about
 * what was asked: it neither says that something is not there, nor that it stays so. */
bool imap_is_trouble(const struct imap_result *result);
/* Whether a refusal is, by its code or its words, that a mailbox is not there, or not any more. */
bool imap_is_mailbox_gone(const struct imap_result *result);
/* Whether a refusal is, by its code or, without one, by its words (Cyrus), for want of rights. */
bool imap_is_not_permitted(const struct imap_result *result);

/* One body section of a FETCH reply (RFC 9051, 7.5.2: BODY[section]<origin>). */
struct imap_body {
    const char *section; /* "", "HEADER", "1.2", "1.MIME", "HEADER.FIELDS" (list left off) */
    int64_t origin;      /* the answer's <origin>, -1: none, so it is the whole section */
    bool nil;            /* NIL was sent instead of a string */
    bool oversized;      /* longer than literal_max: `bytes` is NULL, `size` true */
    uint64_t size;
    GBytes *bytes; /* NULL if nil or oversized; take a reference to keep it */
};

/* One entity of a BODYSTRUCTURE (RFC 9051, 7.5.2), in a flat array, parents before children and
 * siblings in order. A message/rfc822 part has exactly one child, the body of the message in it.
 * Strings are the server's bytes, not checked to be UTF-8; NULL where the server said NIL. */
enum imap_part_kind { IMAP_PART_LEAF, IMAP_PART_MULTIPART, IMAP_PART_MESSAGE };
struct imap_parameter {
    const char *name, *value; /* never NULL; the name in lower case */
};
struct imap_part {
    enum imap_part_kind kind;
    uint32_t parent;     /* index into the array; the first has UINT32_MAX */
    const char *section; /* as BODY[section] wants it. A multipart's own: "" for the message's top
                            one and for one directly inside a message part that message's section */
    const char *type, *subtype; /* lower case; "application", "octet-stream" where missing */
    const char *encoding;       /* lower case; "7bit" where missing; NULL for a multipart */
    const char *id, *description, *disposition; /* disposition in lower case */
    const struct imap_parameter *parameters, *disposition_parameters;
    uint32_t parameter_count, disposition_parameter_count;
    int64_t octets; /* of the encoded body; -1: unknown or nonsense */
};
struct imap_structure {
    const struct imap_part *parts;
    uint32_t count;
};

/* Which items a FETCH reply held. */
enum imap_item {
    IMAP_ITEM_UID = 1 << 0,
    IMAP_ITEM_FLAGS = 1 << 1,
    IMAP_ITEM_INTERNALDATE = 1 << 2,
    IMAP_ITEM_SIZE = 1 << 3,
    IMAP_ITEM_MODSEQ = 1 << 4,
    IMAP_ITEM_EMAILID = 1 << 5,
    IMAP_ITEM_GM_MSGID = 1 << 6,
    IMAP_ITEM_STRUCTURE = 1 << 7,        /* BODYSTRUCTURE, understood */
    IMAP_ITEM_STRUCTURE_BROKEN = 1 << 8, /* BODYSTRUCTURE was there but makes no sense */
};
struct imap_fetch {
    unsigned items;           /* which of the fields below are set */
    uint32_t sequence;        /* message sequence number in the reply */
    uint32_t uid;             /* 0 if the reply had none and its sequence number is not known */
    const char *const *flags; /* NULL-terminated, as the server spells them */
    int64_t internaldate;     /* seconds since 1970, UTC */
    uint64_t size;            /* RFC822.SIZE, as the server says */
    uint64_t modseq;          /* RFC 7162 */
    const char *emailid;      /* RFC 8474 */
    uint64_t gm_msgid;        /* X-GM-MSGID */
    struct imap_structure structure;
    const struct imap_body *bodies;
    uint32_t body_count;
};

/* One LIST reply (RFC 9051, 7.3.1). */
enum imap_list_flag {
    IMAP_LIST_NOSELECT = 1 << 0, /* \Noselect, and with each \NonExistent */
    IMAP_LIST_NOINFERIORS = 1 << 1,
    IMAP_LIST_SUBSCRIBED = 1 << 2,
    IMAP_LIST_ALL = 1 << 3, /* RFC 6154 from here; also from XLIST */
    IMAP_LIST_ARCHIVE = 1 << 4,
    IMAP_LIST_DRAFTS = 1 << 5,
    IMAP_LIST_FLAGGED = 1 << 6,
    IMAP_LIST_JUNK = 1 << 7,
    IMAP_LIST_SENT = 1 << 8,
    IMAP_LIST_TRASH = 1 << 9,
    IMAP_LIST_IMPORTANT = 1 << 10,
    IMAP_LIST_NONEXISTENT = 1 << 11, /* deleted, or only the name of a level above others */
};
struct imap_list {
    const char *wire; /* the mailbox's name, exactly the server's bytes: the key for all commands */
    const char *name; /* decoded to UTF-8; where that fails, the bytes made valid UTF-8 */
    char delimiter;   /* 0: NIL, the name is flat */
    unsigned flags;   /* enum imap_list_flag */
    const char *old_wire; /* OLDNAME (RFC 5465, 5.4): it was renamed from this; NULL: not told */
};

/* One STATUS reply; items not sent are -1 (uidvalidity, uidnext: 0). */
struct imap_status {
    const char *wire;
    const char *mailboxid; /* MAILBOXID (RFC 8474): stays when it is renamed; NULL: not told, as by
                              Cyrus, which tells it at SELECT only */
    int64_t messages, unseen, highestmodseq;
    uint32_t uidnext, uidvalidity;
};

#define IMAP_OBJECTID_MAX 255 /* octets of an object id (RFC 8474, 7) */

/* The selected mailbox, as known from EXAMINE and what came since. */
struct imap_mailbox_state {
    uint32_t exists, uidvalidity, uidnext; /* 0: not told */
    uint64_t highestmodseq;                /* 0: NOMODSEQ or not told */
    bool read_only;
    char mailboxid[IMAP_OBJECTID_MAX + 1]; /* as in struct imap_status; "": not told */
};

/* One QUOTA reply (RFC 9208), as far as resources STORAGE and MESSAGE go; -1: not limited. */
struct imap_quota {
    int64_t storage_used, storage_limit; /* KiB */
    int64_t messages_used, messages_limit;
};

struct imap_events {
    /* One message's data, solicited or not. */
    void (*fetch)(struct imap_session *session, const struct imap_fetch *fetch, void *data);
    /* The message with this UID is gone (EXPUNGE, VANISHED). uid 0: one whose UID is not known. */
    void (*expunged)(struct imap_session *session, uint32_t uid, void *data);
    /* These were gone before the mailbox was selected: VANISHED (EARLIER), the answer to a struct
     * imap_resync. May name UIDs that there never were, and be huge: take it by its ranges. */
    void (*vanished)(struct imap_session *session, const struct imap_uidset *uids, void *data);
    /* The number of messages changed; not the one that EXAMINE tells, which is in the state. */
    void (*exists)(struct imap_session *session, uint32_t count, void *data);
    /* The answers to our own LIST and STATUS. */
    void (*list)(struct imap_session *session, const struct imap_list *list, void *data);
    void (*status)(struct imap_session *session, const struct imap_status *status, void *data);
    /* LIST and STATUS that nobody asked for: NOTIFY reports a mailbox that was created, renamed
     * (old_wire), deleted (IMAP_LIST_NONEXISTENT) or subscribed, and one in which messages came or
     * went (MESSAGES and UIDNEXT, HIGHESTMODSEQ with CONDSTORE; as a rule no more). While a LIST,
     * or a STATUS of this mailbox, is in flight both count as its answer, but not a rename. */
    void (*list_news)(struct imap_session *session, const struct imap_list *list, void *data);
    void (*status_news)(struct imap_session *session, const struct imap_status *status, void *data);
    /* NOTIFICATIONOVERFLOW (RFC 5465, 5.8), with the server's text: NOTIFY is off from here on, and
     * what was missed must be asked for. */
    void (*overflow)(struct imap_session *session, const char *text, void *data);
    /* The answer to imap_send_uid_search(): the UIDs, from SEARCH or ESEARCH. */
    void (*search)(struct imap_session *session, const struct imap_uidset *uids, void *data);
    void (*quota)(struct imap_session *session, const struct imap_quota *quota, void *data);
    /* What we may do with a mailbox (MYRIGHTS, RFC 4314): letters. */
    void (*rights)(struct imap_session *session, const char *wire, const char *rights, void *data);
    /* The server has a word for the user: ALERT (RFC 9051, 7.1), one line. */
    void (*alert)(struct imap_session *session, const char *text, void *data);
    /* The connection is over, after all commands in flight were answered. The session stays until
     * imap_session_free(), which may be called from in here. */
    void (*closed)(struct imap_session *session, enum imap_error error, const char *text,
                   void *data);
};

/* Gives the session to the thread that runs `context`; before this nothing is sent or called. NULL
 * members of `events` are skipped; `events` and `data` must outlive the session. */
void imap_session_attach(struct imap_session *session, GMainContext *context,
                         const struct imap_events *events, void *data);

unsigned imap_session_capabilities(const struct imap_session *session);
/* What was left out of them as the server was held not to stand it, as of imap_flaws_known(). */
unsigned imap_session_without(const struct imap_session *session);
/* "Dovecot ready.": greeting or ID name, for the log and for learned flaws. Never NULL. */
const char *imap_session_server_name(const struct imap_session *session);
/* The mechanism that signed in ("SCRAM-SHA-256-PLUS"), static; NULL: none was needed (PREAUTH). */
const char *imap_session_mechanism(const struct imap_session *session);
/* imap_login.before if "auto" had to take a weaker mechanism since the server no longer offers it;
 * else NULL. */
const char *imap_session_missed(const struct imap_session *session);
/* Whether `better` comes before `worse` in the order in which "auto" takes mechanisms. */
bool imap_mechanism_better(const char *better, const char *worse);
/* The number of the connection in the transcript, unique in the process. */
unsigned imap_session_number(const struct imap_session *session);
/* Bytes received since it was opened (before decompression). */
uint64_t imap_session_bytes_in(const struct imap_session *session);
/* Grows while a long reply that holds data is being received. With the replies themselves this is
 * the measure of progress: a server may well talk without it. */
uint64_t imap_session_bytes_amid(const struct imap_session *session);
/* Bytes handed to the connection (compressed): while a message is stored, this grows alone. */
uint64_t imap_session_bytes_out(const struct imap_session *session);
/* Commands sent and not yet answered; an IDLE only after its DONE. */
unsigned imap_session_in_flight(const struct imap_session *session);
/* The mailbox that is selected or about to be (wire name), NULL: none. */
const char *imap_session_mailbox(const struct imap_session *session);
const struct imap_mailbox_state *imap_session_state(const struct imap_session *session);
/* Whether the server is answering an EXAMINE or SELECT: until then the state, and what it says, are
 * of the mailbox before, however long the other has been asked for. */
bool imap_session_opening(const struct imap_session *session);
/* Whether QRESYNC (RFC 7162) is on: the server confirmed it by ENABLED. An ENABLED that is empty or
 * missing says no; then whether a mailbox has CONDSTORE is told by highestmodseq in its state. */
bool imap_session_qresync(const struct imap_session *session);
/* Whether COMPRESS=DEFLATE is on. */
bool imap_session_compressed(const struct imap_session *session);

/* ---- commands -------------------------------------------------------------------------------
 * Each queues one command and returns; several queued in one turn of the main loop go out in one
 * write. `done` may be NULL. Names are wire names. Nothing is sent that the server does not offer:
 * an option that needs a missing capability is left off where that is harmless, as said. */

/* LIST of every mailbox, RETURN (SUBSCRIBED SPECIAL-USE [STATUS ...]) as far as offered; with
 * `status` and without LIST-STATUS no STATUS comes. If INBOX is not among them, and flaws are kept,
 * all are asked for plainly as well, and INBOX by its name; each mailbox comes once. */
void imap_send_list(struct imap_session *session, bool status, imap_done done, void *data);
/* The namespaces (RFC 2342) that LIST "" "*" leaves out, by their prefixes (wire names, at most
 * 32), as the last imap_send_list() of this session found or as the session was told; free with
 * g_strfreev(). These are listed beside "*", in the same write. Of others it shows only when "*" is
 * answered that they must be listed by themselves, which costs a round trip: so they are worth
 * keeping for the next session. Prefixes that are not the session's are passed over. A mailbox that
 * both lists name comes twice. */
char **imap_session_apart(const struct imap_session *session);
void imap_session_set_apart(struct imap_session *session, const char *const *prefixes);
void imap_send_status(struct imap_session *session, const char *mailbox, imap_done done,
                      void *data);
/* EXAMINE (read-only), with CONDSTORE where offered. While it is in flight and when it failed,
 * nothing is selected; commands queued behind it run if it succeeds and are answered with its
 * error, unsent or refused, if it does not. */
void imap_send_examine(struct imap_session *session, const char *mailbox, imap_done done,
                       void *data);
/* What is known of a mailbox, so that the server tells only what changed since (RFC 7162, 3.2.5).
 */
struct imap_resync {
    uint32_t uidvalidity;
    uint64_t modseq;                 /* HIGHESTMODSEQ that all that is known belongs to */
    const struct imap_uidset *known; /* UIDs there are; NULL: all up to the highest may be */
};
/* imap_send_select() or, with `read_only`, imap_send_examine(), where `resync` (NULL: none) adds
 * QRESYNC: before `done` come `vanished` and a `fetch` for each message that is new or has other
 * flags (UID, FLAGS and MODSEQ only). Nothing comes if the UIDVALIDITY in the state is another, or
 * if QRESYNC is not on (imap_session_qresync()); then it is left off. */
void imap_send_resync(struct imap_session *session, const char *mailbox, bool read_only,
                      const struct imap_resync *resync, imap_done done, void *data);
/* Without UNSELECT the session only forgets the mailbox: CLOSE is never sent. */
void imap_send_unselect(struct imap_session *session, imap_done done, void *data);

/* What to fetch. Everything else off: zero it first. */
struct imap_fetch_request {
    unsigned items;            /* enum imap_item; EMAILID and GM_MSGID only where offered */
    const char *header_fields; /* "DATE FROM SUBJECT": BODY.PEEK[HEADER.FIELDS (...)]; or NULL */
    const char *section;       /* BODY.PEEK[section]; NULL: no body */
    uint64_t origin, length;   /* partial; length 0: the whole section */
    uint64_t changed_since;    /* CHANGEDSINCE, 0: none; needs CONDSTORE */
};
/* UID FETCH, in as many commands as the server's line length asks for; `done` comes once, after the
 * last, with the first error. first..last may hold UIDs that do not exist. */
void imap_send_uid_fetch(struct imap_session *session, const struct imap_uidset *uids,
                         const struct imap_fetch_request *request, imap_done done, void *data);
/* UID SEARCH of all UIDs in first..last (last 0: to the end), RETURN (ALL) with ESEARCH. */
void imap_send_uid_search(struct imap_session *session, uint32_t first, uint32_t last,
                          imap_done done, void *data);
void imap_send_noop(struct imap_session *session, imap_done done, void *data);

/* ---- hearing of changes at once -----------------------------------------------------------------
 */

/* IDLE (RFC 2177): sent when all commands before it are answered, ended by DONE as soon as anything
 * is asked behind it, also another IDLE; what is asked goes out in the same write as DONE. `done`
 * comes when it has ended, which the server may do of its own accord. If something is asked before
 * it was sent, it ends unsent, with IMAP_OK. To take it up again, and from time to time anew, is
 * the caller's; so is to give up the connection if DONE stays unanswered. IMAP_ERROR_CANNOT,
 * unsent, without IDLE. */
void imap_send_idle(struct imap_session *session, imap_done done, void *data);
/* Whether an IDLE was sent and is not answered. If `ending_us` is not NULL, *ending_us becomes when
 * its DONE was written (g_get_monotonic_time()); 0: it was not, or there is no IDLE. */
bool imap_session_idling(const struct imap_session *session, gint64 *ending_us);

/* What NOTIFY reports (RFC 5465). Of the selected mailbox new messages (UID, FLAGS), expunged ones
 * and changes of flags, as `exists`, `fetch` and `expunged`; of others new and expunged messages
 * and what becomes of the mailbox itself, as `status_news` and `list_news`. */
struct imap_notify {
    bool delayed; /* expunged messages of the selected mailbox only when a command is answered */
    const char *const *mailboxes; /* wire names, NULL-terminated; NULL: all personal ones */
    bool status;                  /* begin with a `status_news` of each of these */
};
/* NOTIFY SET, or NONE if `notify` is NULL: until the next one, whether idling or not. Without
 * NOTIFY, or with more names than go on a line, IMAP_ERROR_CANNOT, unsent. */
void imap_send_notify(struct imap_session *session, const struct imap_notify *notify,
                      imap_done done, void *data);

/* ---- commands that change mail -----------------------------------------------------------------
 * None is ever sent twice by imap/ itself. Sets are split at the server's line length; `done` comes
 * once, with what all of them said together and the first error. Nothing here ever removes a
 * message that is not named by its UID: EXPUNGE without UIDs and CLOSE are never sent. */

/* SELECT: as imap_send_examine(), but for changing. The state's read_only says what the server
 * grants. */
void imap_send_select(struct imap_session *session, const char *mailbox, imap_done done,
                      void *data);
/* UID MOVE (RFC 6851) where the server has it; else answered IMAP_ERROR_CANNOT, unsent. */
void imap_send_uid_move(struct imap_session *session, const struct imap_uidset *uids,
                        const char *mailbox, imap_done done, void *data);
void imap_send_uid_copy(struct imap_session *session, const struct imap_uidset *uids,
                        const char *mailbox, imap_done done, void *data);
/* UID STORE +FLAGS.SILENT or -FLAGS.SILENT. `flags`: between spaces, as the server spells them; a
 * word that is no flag is answered IMAP_ERROR_CANNOT, unsent. `unchanged_since` is left off (0)
 * without CONDSTORE. */
void imap_send_uid_store(struct imap_session *session, const struct imap_uidset *uids, bool add,
                         const char *flags, uint64_t unchanged_since, imap_done done, void *data);
/* UID EXPUNGE (RFC 4315) where the server has UIDPLUS or IMAP4rev2; else IMAP_ERROR_CANNOT, unsent.
 */
void imap_send_uid_expunge(struct imap_session *session, const struct imap_uidset *uids,
                           imap_done done, void *data);

/* A message to be stored. The descriptor is read from its start (pread) while the command is
 * written, so the file must stay as it is until `done`; if it turns out shorter the connection is
 * ended, since a literal cannot be taken back. */
struct imap_append {
    const char *mailbox;
    const char *flags;    /* between spaces, "" for none */
    int64_t internaldate; /* seconds since 1970, sent as UTC */
    int descriptor;       /* the caller's */
    uint64_t size;        /* octets; 0 is answered IMAP_ERROR_CANNOT, unsent */
};
/* APPEND, its literal non-synchronising where LITERAL+ (or, up to 4,096 octets, LITERAL-) is
 * offered. Flags and INTERNALDATE as said. */
void imap_send_append(struct imap_session *session, const struct imap_append *append,
                      imap_done done, void *data);
/* Whether all octets of an APPEND in flight were handed to the connection: only then may the server
 * have stored it. False also when no APPEND is in flight. Inside of a `done`: of the command that
 * it is about. */
bool imap_append_is_out(const struct imap_session *session);

void imap_send_create(struct imap_session *session, const char *mailbox, imap_done done,
                      void *data);
void imap_send_delete(struct imap_session *session, const char *mailbox, imap_done done,
                      void *data);
void imap_send_rename(struct imap_session *session, const char *from, const char *to,
                      imap_done done, void *data);
void imap_send_subscribe(struct imap_session *session, const char *mailbox, bool subscribe,
                         imap_done done, void *data);
/* GETQUOTAROOT, MYRIGHTS: answered by events; without QUOTA or ACL IMAP_ERROR_CANNOT, unsent. */
void imap_send_quota(struct imap_session *session, const char *mailbox, imap_done done, void *data);
void imap_send_rights(struct imap_session *session, const char *mailbox, imap_done done,
                      void *data);
/* The largest message that APPEND takes, in octets (APPENDLIMIT, RFC 7889); 0: not told. */
uint64_t imap_session_append_limit(const struct imap_session *session);
