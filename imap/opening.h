/* A session in the making: what open.c, signin.c and introduce.c share. Private to imap/. */
#pragma once

#include "imap/dial.h"
#include "imap/hidden.h"
#include "imap/session.h"

struct opening {
    const struct imap_server *server;
    const struct imap_login *login;
    struct imap_session *session;
    struct imap_hidden *hidden;
    struct imap_wait wait;
    GError **error;
    struct imap_caution caution;
    bool asking;         /* what may be left out, and waits for: */
    struct imap_cut cut; /* if the connection ended now */
    bool preauth;
    bool signing; /* what the server ends the connection with may be about the password */
    /* read no byte beyond the reply that is waited for: what follows is of another coding */
    bool bytewise;
    bool other_binding;  /* bind to TLS in the other of the two ways */
    const char *unbound; /* the -PLUS that was refused, perhaps for how it binds; NULL: none */
};

/* Sets the error and returns false. */
bool imap_opening_fail(struct opening *o, enum imap_error code, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* The server's words, fit for a message: one line, no full stop, and nothing secret. */
char *imap_opening_said(const struct opening *o, const char *text);
/* The same as they are, "" among them. */
char *imap_opening_shown(const struct opening *o, const char *text);
/* Queues bytes, as imap_stream_put(). */
void imap_opening_say(struct opening *o, const char *bytes, size_t length, const char *shown);
/* Writes what waits and passes over everything up to the reply with this tag, or "+" where that may
 * come. False with the error set. */
bool imap_opening_answer(struct opening *o, const char *tag, bool plus, struct imap_reply *reply);

/* Waits for the next reply and heeds what counts whenever it comes. False with the error set. */
bool imap_opening_reply(struct opening *o, struct imap_reply *reply);
/* Gives a command without arguments that are worth hiding, and waits for its tagged reply. */
bool imap_opening_command(struct opening *o, const char *text, struct imap_reply *reply);

/* Signs in (signin.c; RFC 9051, 6.2.2 and 6.2.3) on a session whose capabilities are known. False
 * with the error set. */
bool imap_opening_sign_in(struct opening *o);

/* Asks for capabilities, ID, ENABLE and NAMESPACE (introduce.c): one round trip, a second only for
 * what the server told in the first. False with the error set. */
bool imap_opening_introduce(struct opening *o);
/* COMPRESS, if it is offered: last and alone, since all that the server says behind its OK is
 * compressed (RFC 4978, 3). False with the error set. */
bool imap_opening_compress(struct opening *o);
