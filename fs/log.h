/* Where GLib's log goes: standard error with -f, syslog (LOG_MAIL) when detached. All of mailmount
 * logs with g_critical(), g_warning(), g_message(), g_info() and g_debug(), each file's domain
 * being its library ("imap", "cache", "fs"). One line a call; control characters are escaped, so
 * that mail and servers cannot write to a terminal. Secrets are never passed. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Lines less important than `most` are dropped. May be called again when detaching. */
void log_open(bool to_syslog, GLogLevelFlags most);

/* A line that is safe on a terminal: control, line-separator and bidirectional-control characters
 * and bytes that are not UTF-8 become \n, \xNN or \u{NNNN}; at most 4096 bytes of it are kept.
 * The caller's. */
char *log_escape(const char *text);
