/* Where GLib's log goes: standard error with -f, syslog (LOG_MAIL) when detached. Where standard
 * error is the journal's stream, lines begin with their level ("<4>") as sd-daemon(3) has it, and
 * without our name, which the journal adds. All of mailmount logs with g_critical(), g_warning(),
 * g_message(), g_info() and g_debug(), each file's domain being its library ("imap", "cache",
 * "fs"). One line a call; control characters are escaped, so that mail and servers cannot write to
 * a terminal. Secrets are never passed. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Lines less important than `most` are dropped. May be called again when detaching. */
void log_open(bool to_syslog, GLogLevelFlags most);

/* Says on standard error, where the log may not go, why the program ends. */
void log_end(const char *why);

/* Whether `fd` is the stream that $JOURNAL_STREAM ("DEVICE:INODE") names; `stream` may be NULL. */
bool log_is_journal(int fd, const char *stream);

/* A line that is safe on a terminal: control, line-separator and bidirectional-control characters
 * and bytes that are not UTF-8 become \n, \xNN or \u{NNNN}; at most 4096 bytes of it are kept.
 * The caller's. */
char *log_escape(const char *text);
