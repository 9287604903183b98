/* The client's half of a scripted conversation: opens a session, writes down all that it is told.
 */
#pragma once

#include "imap/imap.h"
#include "script.h"

struct client {
    struct imap_server server;
    struct imap_login login;
    struct script *script;
    struct imap_session *session; /* NULL: not open, or freed */
    GError *error;
    GMainContext *context;
    GString *log;        /* a line an event */
    GString *transcript; /* "> line" and "< line" */
    const char *free_at; /* frees the session when the log gets a line that begins so */
};

void client_init(struct client *client, const char *const *steps, SSL_CTX *tls);
/* The same, with a server that closes after `cut` bytes. */
void client_init_cut(struct client *client, const char *const *steps, int64_t cut);
/* Opens the session, and attaches it if that went well; else client->error is set. */
void client_open(struct client *client);
/* Runs the main loop until the log holds this. */
void client_until(struct client *client, const char *text);
/* An imap_done that logs "NAME ERROR text", and where there is something to tell " copied VALIDITY:
 * FROM>TO ...", " modified SET", " modseq N", and " (out)" if imap_append_is_out(); `data` from
 * client_note().
 */
void client_done(struct imap_session *session, const struct imap_result *result, void *data);
void *client_note(struct client *client, const char *name);
/* Frees all; the script must have heard what it should if `whole`. */
void client_end(struct client *client, bool whole);

/* Opens against these steps, which must fail with this code and words in the message. */
void client_refuses(const char *const *steps, enum imap_tls tls, SSL_CTX *context,
                    enum imap_error code, const char *words);
