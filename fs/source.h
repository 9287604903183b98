/* SOURCE: where the mail is, as a URL (after RFC 5092, without path and parameters). */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct source {
    bool implicit_tls; /* imaps:// */
    char *user;        /* decoded; NULL: none was given */
    char *host;        /* lower case, without brackets; a name in its ASCII form */
    uint16_t port;     /* 0: none was given */
};

/* Whether this is meant as a URL, not as names of accounts. */
bool source_is_url(const char *text);

/* Whether this is a mail address, LOCAL@DOMAIN, of the plain kind (RFC 5321, 4.1.2: dot-string). */
bool source_is_address(const char *text);

/* Parses imaps://[USER@]HOST[:PORT] or imap://...; %XX in USER is decoded, HOST may be an IPv6
 * address in brackets. False with `error` (G_OPTION_ERROR) set; since `text` may hold a password by
 * mistake, nothing of it is in the message. */
bool source_parse(const char *text, struct source *source, GError **error);
void source_clear(struct source *source);
typedef struct source source; /* for g_auto() */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(source, source_clear)

/* The URL again, in one spelling, without the default port; holds no comma, space or backslash. The
 * caller's. */
char *source_write(const struct source *source);
